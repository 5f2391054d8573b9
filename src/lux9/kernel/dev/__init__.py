"""The kernel's own files, a module a device."""
