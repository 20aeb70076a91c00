"""From something found to the shortest schedule that does it again."""
