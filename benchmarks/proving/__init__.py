"""The parts of `prove.py`: each yields figures."""
