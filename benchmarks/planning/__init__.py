"""The words of `rateproof plan` beforehand, held against what happens."""
