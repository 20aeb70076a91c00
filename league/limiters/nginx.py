"""nginx's limit_req, with and without delay."""

from functools import partial

from league.installed import program
from league.row import Place, Row, Truth

_CONFIGURATION = """
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_req_zone $arg_clientId zone=clients:10m rate=1r/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            limit_req zone=clients burst=4{nodelay};
            empty_gif;
        }}
    }}
}}
"""


def _commands(workers: int, nodelay: str, place: Place) -> list[tuple[str, ...]]:
    file = place.folder / "nginx.conf"
    file.write_text(
        _CONFIGURATION.format(
            folder=place.folder, port=place.port, workers=workers, nodelay=nodelay
        )
    )
    prefix = ("-p", str(place.folder), "-e", str(place.folder / "error.log"))
    return [("nginx", *prefix, "-c", str(file))]


def _version() -> str:
    return program("nginx", "-v")


_BURST = (
    "5 at once, and one more every second by a clock that is read once for many requests: "
    "10 in a hair less than 5 s"
)

ROWS = (
    Row(
        name="nginx rate=1r/s burst=4 nodelay",
        truth=Truth.YES,
        why=_BURST,
        worst=10,
        needs=("nginx",),
        version=_version,
        commands=partial(_commands, 1, " nodelay"),
    ),
    Row(
        name="nginx rate=1r/s burst=4 nodelay, 2 workers",
        truth=Truth.YES,
        why=f"the workers share one zone: {_BURST}",
        worst=10,
        needs=("nginx",),
        version=_version,
        commands=partial(_commands, 2, " nodelay"),
    ),
    Row(
        name="nginx rate=1r/s burst=4, with delay",
        truth=Truth.EITHER,
        why="5 in theory, but time is kept in whole milliseconds: 6 in a hair less than 5 s",
        worst=6,
        needs=("nginx",),
        version=_version,
        commands=partial(_commands, 1, ""),
    ),
)
