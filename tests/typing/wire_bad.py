"""Messages misused. Each line marked `bad` must be refused by both checkers; no other may be."""

from __future__ import annotations

from lux9.wire.messages import Tversion, Twalk

walk = Twalk(fid=1, newfid=2, names=("a",))
number: int = walk.fid
first: str = walk.names[0]
data: bytes = Tversion(8192, "9P2000").encode(0xFFFF)

Twalk(fid="1", newfid=2, names=())  # bad: a fid is a number
Twalk(1, 2)  # bad: a field is missing
Twalk(1, 2, names=(3,))  # bad: a name is a string
walk.fid = 3  # bad: messages do not change
print(walk.afid)  # bad: no such field
