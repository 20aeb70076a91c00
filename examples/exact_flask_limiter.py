"""Flask-Limiter, exact in all worker processes: 5 requests per client in 5 seconds.

    gunicorn --workers 4 --pythonpath examples 'exact_flask_limiter:create_app()'
    python tester.py http://127.0.0.1:8000 --iterations 3

With `storage_uri="memory://"` each of the four workers admits 5, so that a client
gets up to 20.
"""

from flask import Flask, request
from flask_limiter import Limiter

import rateproof.limits  # noqa: F401 - registers the storage


def create_app(
    storage_uri: str = "rateproof+shm://example",
    limit: str = "5 per 5 seconds",
    strategy: str = "moving-window",
) -> Flask:
    """An application whose only route is limited by `clientId`."""
    app = Flask(__name__)
    Limiter(
        key_func=lambda: request.args.get("clientId", ""),
        app=app,
        default_limits=[limit],
        strategy=strategy,
        storage_uri=storage_uri,
        headers_enabled=True,
    )

    @app.get("/")
    def index() -> str:
        return "hello\n"

    return app
