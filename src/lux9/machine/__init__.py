"""Machines: PCI hardware as the kernel sees it, and ways to have it."""
