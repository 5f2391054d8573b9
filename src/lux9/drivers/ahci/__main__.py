"""`python -m lux9.drivers.ahci`: the driver process."""

from ...driver.environment import run
from .main import main

run(main)
