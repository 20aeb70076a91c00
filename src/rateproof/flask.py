"""Limits for Flask: `from rateproof.flask import RateLimit`.

    limits = RateLimit(app, key="header:X-Api-Key|ip", store="shm://my-api")

    @app.post("/login")
    @limits.limit("5 per 5s")
    def login(): ...

See `docs/enforce/flask.md`.
"""

try:
    from rateproof.enforce.frameworks.flask import FlaskDenied as Denied
    from rateproof.enforce.frameworks.flask import FlaskRateLimit as RateLimit
except ModuleNotFoundError as error:
    raise ImportError("rateproof.flask needs Flask (pip install flask)") from error

__all__ = ["Denied", "RateLimit"]
