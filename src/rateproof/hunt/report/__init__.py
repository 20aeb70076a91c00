"""What a test leaves for people to read."""
