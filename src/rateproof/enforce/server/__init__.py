"""The rate-limited server: a Flask application, exact across its worker processes."""

from rateproof.enforce.server.run import serve
from rateproof.enforce.server.settings import ServerSettings
from rateproof.enforce.server.sources import SettingsSources

__all__ = ["ServerSettings", "SettingsSources", "serve"]
