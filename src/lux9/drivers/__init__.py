"""Drivers: ordinary programs that open the kernel's files and serve their own."""
