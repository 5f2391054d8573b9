"""What lux9 costs, beside the floor of the machine that it runs on: `make bench`, or `python -m bench`.

Every figure stands beside a peer measured in the same run. The layout is said: `one core` pins kernel, driver and
client to one processor, `all cores` leaves them to the scheduler.
"""
