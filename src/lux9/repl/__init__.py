"""A prompt with the tree and the registers by name. `names(tree)` is what it offers, for other prompts, too.

    tree = lux9.connect()
    globals().update(lux9.repl.names(tree))     # in IPython or a notebook

Rules that all of it keeps: to name a thing accesses nothing; to look at one (its repr, `read()`) is one access a
register; registers that change when they are read are left out of a block, and named; to write takes a claim.
"""

from .names import Names, names
from .views import BankView, BlockView, RegView

__all__ = ["BankView", "BlockView", "Names", "RegView", "names"]
