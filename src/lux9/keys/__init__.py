"""A small certificate authority, in a directory: whose key may come over the network, and whose may no more."""
