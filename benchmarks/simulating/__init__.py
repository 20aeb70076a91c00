"""The parts of `simulate.py`: each yields figures."""
