"""lux9: a machine's PCI hardware as files over 9P, with drivers as ordinary isolated programs."""

__version__ = "0.1.0"
