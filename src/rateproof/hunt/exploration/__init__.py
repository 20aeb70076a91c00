"""What to try next: attacks, drawn and refined."""
