"""A server of our own under test: started, watched, and harmed on purpose."""
