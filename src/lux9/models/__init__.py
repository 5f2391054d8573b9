"""Device models: chips as software sees them, on the registers of `arch`."""
