"""A Flask application limited by Flask-Limiter: 5 requests per client in 5 seconds.

Its default strategy, `fixed-window`, opens a window at a client's first request
and lets up to nine requests through in less than 5 seconds; `moving-window`
keeps the promise, in one process. See which is which:

    python examples/flask_limiter_app.py --strategy fixed-window --port 8081 &
    python tester.py http://127.0.0.1:8081 --iterations 3
"""

import argparse
import logging

from flask import Flask, request
from flask_limiter import Limiter
from werkzeug.serving import WSGIRequestHandler

STRATEGIES = ("fixed-window", "moving-window", "sliding-window-counter")


def create_app(strategy: str) -> Flask:
    """An application whose only route is limited to 5 per 5 seconds by `clientId`."""
    app = Flask(__name__)
    Limiter(
        key_func=lambda: request.args.get("clientId", ""),
        app=app,
        default_limits=["5 per 5 seconds"],
        strategy=strategy,
        storage_uri="memory://",
        headers_enabled=True,
    )

    @app.get("/")
    def index() -> str:
        return "hello\n"

    return app


def main() -> None:
    """Serve it from one process with a thread for each connection."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategy", choices=STRATEGIES, default=STRATEGIES[0])
    parser.add_argument("--port", type=int, default=8081)
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    create_app(arguments.strategy).run(port=arguments.port, threaded=True)


if __name__ == "__main__":
    main()
