"""HAProxy's stick table with a rate over 5 s."""

from league.installed import program
from league.row import Place, Row, Truth

_CONFIGURATION = """
global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 5s
frontend limited
    bind 127.0.0.1:{port}
    stick-table type string len 64 size 100k expire 15s store http_req_rate(5s)
    http-request track-sc0 url_param(clientId)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 5 }}
    http-request return status 200 content-type text/plain string "hello"
"""


def _commands(place: Place) -> list[tuple[str, ...]]:
    file = place.folder / "haproxy.cfg"
    file.write_text(_CONFIGURATION.format(port=place.port))
    return [("haproxy", "-db", "-q", "-f", str(file))]


ROWS = (
    Row(
        name="HAProxy http_req_rate(5s)",
        truth=Truth.YES,
        why="counts this and the previous window of each client, the latter by a weight and rounded "
        "down; denied requests count too",
        worst=10,
        needs=("haproxy",),
        version=lambda: program("haproxy", "-v"),
        commands=_commands,
    ),
)
