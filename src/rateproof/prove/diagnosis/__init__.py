"""What a target seems to do instead of what was declared."""
