"""Every limiter of the league. A new one is a file here and a line below."""

from league.limiters import (
    django,
    envoy,
    flask_limiter,
    go,
    haproxy,
    nginx,
    node,
    pyrate,
    quart,
    rateproof_server,
    slowapi,
    throttled,
    varnish,
)
from league.row import Row

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    *rateproof_server.ROWS,
    *flask_limiter.ROWS,
    *slowapi.ROWS,
    *throttled.ROWS,
    *pyrate.ROWS,
    *django.ROWS,
    *quart.ROWS,
    *nginx.ROWS,
    *haproxy.ROWS,
    *varnish.ROWS,
    *envoy.ROWS,
    *node.ROWS,
    *go.ROWS,
)
"""In the order of the table."""
