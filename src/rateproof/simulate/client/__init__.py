"""The interactive client: asks, runs, shows figures, heeds keys, sums up."""
