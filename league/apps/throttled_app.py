"""throttled-py's Flask extension: 5 per 5 s of each `clientId`, by any of its algorithms."""

from datetime import timedelta

from flask import Flask, request
from throttled import per_duration
from throttled.contrib.flask import Limiter


def create_app(algorithm: str) -> Flask:
    """For gunicorn: `throttled_app:create_app("fixed_window")`."""
    app = Flask(__name__)
    limiter = Limiter(
        quota=per_duration(timedelta(seconds=5), 5, 5),
        key_func=lambda: request.args.get("clientId", ""),
        using=algorithm,
    )
    limiter.init_app(app)

    @app.get("/")
    @limiter.limit()
    def index() -> str:
        return "hello\n"

    return app
