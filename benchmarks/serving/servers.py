"""Servers on the processor for servers: ours and its peers, and the processor time that they use."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from ports import free_port, listens
from simulating.machine import LOAD, SERVER
from simulating.programs import Missing, program

from rateproof.enforce.service import PROGRAM

LIMITS = """
[limits.denied]
policy = "1 per hour"
key = "query:id"
[limits.admitted]
policy = "token-bucket 1000000000 per hour"
key = "query:id"
"""
_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000; keepalive_timeout 3600s;
  {server}
}}
"""
LIMITING = """
  limit_req_zone $arg_id zone=denied:16m rate=1r/m;
  limit_req_zone $arg_id zone=admitted:16m rate=1000000r/s;
  limit_req_status 429; limit_req_log_level info;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /denied {{ limit_req zone=denied; empty_gif; }}
    location = /admitted {{ limit_req zone=admitted burst=1000000 nodelay; empty_gif; }}
  }}
"""
_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A process that listens at ports of its own."""

    def __init__(
        self, *command: str, ports: tuple[int, ...], processors: str = str(SERVER)
    ) -> None:
        pinned = ["taskset", "--cpu-list", processors, *command]
        self.http, self.resp = ports[0], ports[-1]
        self._process = subprocess.Popen(
            pinned, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        for port in ports:
            while not listens(port):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise Missing(f"{Path(command[0]).name} does not start")
                time.sleep(0.05)

    def used_s(self) -> float:
        """Processor time so far."""
        said = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        fields = said.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def stop(self) -> None:
        """End it, and the workers that it has."""
        self._process.terminate()
        self._process.wait(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Service(Server):
    """`rateproof service`, with tables in its memory."""

    def __init__(self, threads: int = 1, rules: str = "") -> None:
        if not PROGRAM.exists():
            raise Missing("the service is not built (make service)")
        ports = (free_port(), free_port())
        self.rls = free_port()
        with (
            tempfile.NamedTemporaryFile("w", suffix=".toml") as file,
            tempfile.NamedTemporaryFile("w", suffix=".yaml") as told,
        ):
            file.write(LIMITS)
            file.flush()
            told.write(rules)
            told.flush()
            rls = ("--rls", f"127.0.0.1:{self.rls}", "--rls-config", told.name) if rules else ()
            super().__init__(
                str(PROGRAM), "--config", file.name, "--port", str(ports[0]),
                "--resp", f"127.0.0.1:{ports[1]}", "--threads", str(threads), *rls,
                ports=ports, processors=str(SERVER) if threads == 1 else f"{LOAD},{SERVER}",
            )  # fmt: skip


class Nginx(Server):
    """One worker of nginx.

    Args:
        server: its settings, of `port` and `folder`.
        files: by their path, what is in its folder.
    """

    def __init__(self, server: str = LIMITING, files: Mapping[str, bytes] | None = None) -> None:
        path = program("nginx", "apt install nginx")
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        folder.chmod(0o755)
        for name, content in (files or {}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        port = free_port()
        settings = folder / "nginx.conf"
        own = server.format(folder=folder, port=port)
        settings.write_text(_NGINX.format(folder=folder, server=own), encoding="ascii")
        super().__init__(path, "-c", str(settings), ports=(port,))

    def stop(self) -> None:
        """End it."""
        super().stop()
        self._folder.cleanup()


class Redis(Server):
    """Redis without persistence."""

    def __init__(self) -> None:
        path = shutil.which("valkey-server") or program("redis-server", "apt install redis")
        port = free_port()
        words = ("--port", str(port), "--save", "", "--appendonly", "no")
        super().__init__(path, *words, ports=(port,))


class Throttlecrab(Server):
    """The peer that also speaks RESP; its command is THROTTLE."""

    HOW = "cargo install throttlecrab-server; needs protoc"

    def __init__(self) -> None:
        path = program("throttlecrab-server", self.HOW)
        port = free_port()
        words = ("--redis", "--redis-host", "127.0.0.1", "--redis-port", str(port))
        super().__init__(path, *words, ports=(port,))

    @classmethod
    def is_there(cls) -> bool:
        """True if it is installed; otherwise says how."""
        if shutil.which("throttlecrab-server") is None:
            os.write(2, f"resp: throttlecrab is left out ({cls.HOW})\n".encode())
            return False
        return True
