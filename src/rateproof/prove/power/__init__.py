"""The power of a log: how hard it pressed, how close it came, and what it could have shown."""
