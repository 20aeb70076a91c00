"""The server under load: nginx with one worker that answers 200, and counts."""

import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

from simulating.machine import SERVER
from simulating.programs import Missing, program

SETTINGS = """
worker_processes 1; daemon off; pid {folder}/pid; error_log stderr crit;
worker_rlimit_nofile 8192; worker_cpu_affinity {mask:b};
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000; keepalive_timeout 3600s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 "ok"; }}
    location = /counted {{ stub_status; }}
  }}
}}
"""


class Server:
    """An address, and the number of requests that came there."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"

    def counted(self) -> int:
        """Requests so far, this one included."""
        with urllib.request.urlopen(f"{self.url}counted", timeout=10) as answer:
            said = answer.read().decode("ascii")
        counts = re.search(r"\n\s*\d+ \d+ (\d+)", said)
        if counts is None:
            raise Missing(f"nginx counts nothing: {said}")
        return int(counts[1])


@contextmanager
def serving() -> Iterator[Server]:
    """Nginx on a processor of its own, at a free port."""
    path = program("nginx", "apt install nginx")
    os.sched_setaffinity(0, {SERVER})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        port = free_port()
        settings = folder / "nginx.conf"
        text = SETTINGS.format(folder=folder, port=port, mask=1 << SERVER)
        settings.write_text(text, encoding="ascii")
        process = subprocess.Popen([path, "-c", str(settings)])
        try:
            _wait(port, process)
            yield Server(port)
        finally:
            process.terminate()
            process.wait(20)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise Missing("nginx does not start")
        time.sleep(0.05)
