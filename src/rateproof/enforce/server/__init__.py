"""The rate-limited server: a Flask application, exact across its worker processes."""

from rateproof.enforce.server.run import serve
from rateproof.enforce.server.settings import ServerSettings

__all__ = ["ServerSettings", "serve"]
