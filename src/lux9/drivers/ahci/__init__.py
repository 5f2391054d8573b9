"""AHCI: SATA disks behind a host bus adapter."""
