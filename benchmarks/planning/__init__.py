"""What `rateproof plan` says beforehand, held against what happens."""
