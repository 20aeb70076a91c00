"""The parts of `enforce.py`: each yields figures."""
