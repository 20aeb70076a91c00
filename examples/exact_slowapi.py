"""slowapi (FastAPI), exact in all worker processes: 5 requests per client in 5 seconds.

    uvicorn --workers 4 --app-dir examples --factory exact_slowapi:create_app
    python tester.py http://127.0.0.1:8000 --iterations 3

`STORAGE_URI=memory://` in the environment shows the difference.
"""

import os

from fastapi import FastAPI, Request, Response
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded

import rateproof.limits  # noqa: F401 - registers the storage


def create_app() -> FastAPI:
    """An application whose only route is limited by `clientId`."""
    limiter = Limiter(
        key_func=lambda request: request.query_params.get("clientId", ""),
        strategy="moving-window",
        storage_uri=os.environ.get("STORAGE_URI", "rateproof+shm://example"),
    )
    app = FastAPI()
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)

    @app.get("/")
    @limiter.limit(os.environ.get("LIMIT", "5 per 5 seconds"))
    def index(request: Request) -> Response:  # noqa: ARG001 - slowapi looks for it
        return Response("hello\n")

    return app
