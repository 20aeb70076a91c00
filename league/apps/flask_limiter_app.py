"""Flask-Limiter: 5 per 5 s of each `clientId`, in any of its strategies and stores."""

from flask import Flask, request
from flask_limiter import Limiter


def create_app(strategy: str, storage_uri: str) -> Flask:
    """For gunicorn: `flask_limiter_app:create_app("moving-window", "memory://")`."""
    if storage_uri.startswith("rateproof+"):
        import rateproof.limits  # noqa: F401 - registers the storage
    app = Flask(__name__)
    Limiter(
        key_func=lambda: request.args.get("clientId", ""),
        app=app,
        default_limits=["5 per 5 seconds"],
        strategy=strategy,
        storage_uri=storage_uri,
        headers_enabled=True,
    )

    @app.get("/")
    def index() -> str:
        return "hello\n"

    return app
