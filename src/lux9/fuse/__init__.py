"""The tree for programs that know nothing of 9P: a FUSE mount of it."""
