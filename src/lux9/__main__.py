"""`python -m lux9` is `lux9`."""

from .cli import main

main()
