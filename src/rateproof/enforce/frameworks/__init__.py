"""Limits on the routes of a framework: `rateproof.flask` and `rateproof.fastapi` are their faces."""
