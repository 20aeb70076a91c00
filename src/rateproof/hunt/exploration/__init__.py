"""The traffic to try next: attacks, drawn and refined."""
