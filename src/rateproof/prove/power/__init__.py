"""How hard a log pressed, how close it came, and what it could have shown."""
