"""A real nginx in front of a limiter, with the access logs that are asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from ports import free_port

from proving.limiters import running

__all__ = ["nginx"]

_CONFIGURATION = """
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/pid;
events {{ worker_connections 4096; }}
http {{
    {logs}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream limited {{ server {limited}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000;
        location / {{
            proxy_pass http://limited;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@contextmanager
def nginx(limited: str, folder: Path, logs: Mapping[str, str]) -> Iterator[int]:
    """Run nginx in front of HOST:PORT; gives the port that it listens on.

    Args:
        limited: where it passes requests on to.
        folder: where everything lies that it writes.
        logs: a `log_format` by the name of the log: NAME.log in the folder.

    Raises:
        SystemExit: nginx is not installed.
    """
    program = which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        raise SystemExit("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    lines = [
        f"log_format {name} '{form}';\n    access_log {folder}/{name}.log {name};"
        for name, form in logs.items()
    ]
    told = _CONFIGURATION.format(
        folder=folder, port=port, limited=limited, logs="\n    ".join(lines)
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(told, encoding="ascii")
    with running(port, program, "-p", str(folder), "-c", str(configuration)):
        yield port
