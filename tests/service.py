"""The decision service, running, for tests."""

import contextlib
import http.client
import re
import signal
import socket
import subprocess

import redis

from rateproof.enforce.service import PROGRAM

LIMITS = """
[limits.api]
policy = "5 per hour"
key = "header:X-Api-Key|ip"
"""


class Service:
    """A running service; `say(text)` rewrites its file and has it read again."""

    def __init__(self, folder, text, *words, wait=True):
        assert PROGRAM.exists(), "make service builds it"
        self.file = folder / "limits.toml"
        self.file.write_text(text)
        host = str(dict(zip(words[::2], words[1::2], strict=True)).get("--host"))
        port = () if host.startswith("unix:") else ("--port", "0")
        self.process = subprocess.Popen(
            [PROGRAM, "--config", self.file, *port, *words],
            stderr=subprocess.PIPE,
            text=True,
        )
        first = self.process.stderr.readline()
        self.place = re.search(
            r"serving (https?://|unix:)(\S+)(?: and (?:rediss?://|unix:)(\S+))?"
            r"(?: and grpcs?://(\S+))? from ",
            first,
        )
        if not self.place:
            self.process.kill()
            raise AssertionError(first + self.process.stderr.read())
        for _ in re.findall(r"^\[limits\.", text, re.MULTILINE) if wait else ():
            self.process.stderr.readline()

    @property
    def port(self):
        return int(self.place[2].rpartition(":")[2])

    @property
    def resp_port(self):
        return int(self.place[3].rpartition(":")[2])

    @property
    def rls_port(self):
        return int(self.place[4].rpartition(":")[2])

    def resp(self, **options):
        """A client of its commands."""
        return redis.Redis(port=self.resp_port, socket_timeout=30, decode_responses=True, **options)

    def said(self):
        return self.process.stderr.readline()

    def reload(self, text):
        self.file.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        return self.said()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(60)
        self.process.stderr.close()
        return code

    def ask(self, path="/check/api", method="GET", **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            headers = {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return (
                answer.status,
                {name.lower(): v for name, v in answer.getheaders()},
                answer.read(),
            )

    def raw(self, data):
        """All that comes back for these bytes until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(data)
            found = b""
            while more := sock.recv(65_536):
                found += more
        return found
