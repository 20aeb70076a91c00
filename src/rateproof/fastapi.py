"""Limits for FastAPI: `from rateproof.fastapi import RateLimit`.

    limits = RateLimit(app, key="header:X-Api-Key|ip", store="shm://my-api")

    @app.post("/login", dependencies=[Depends(limits.limit("5 per 5s"))])
    async def login(): ...

See `docs/enforce/fastapi.md`.
"""

try:
    from rateproof.enforce.frameworks.fastapi import FastApiDenied as Denied
    from rateproof.enforce.frameworks.fastapi import FastApiRateLimit as RateLimit
except ModuleNotFoundError as error:
    raise ImportError("rateproof.fastapi needs FastAPI (pip install fastapi)") from error

__all__ = ["Denied", "RateLimit"]
