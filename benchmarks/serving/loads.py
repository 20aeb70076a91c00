"""Loads on the processor for the load: wrk and redis-benchmark, over 10,000 keys."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from simulating.programs import Missing, program, run

from serving.servers import Server

KEYS = 10_000
_WRK = f"""
local made, last = {{}}, 0
function init(words)
  for n = 1, {KEYS} do made[n] = wrk.format("GET", words[1] .. "?id=" .. n) end
end
function request()
  last = last % {KEYS} + 1
  return made[last]
end
"""


@dataclass(frozen=True)
class Turn:
    """Requests a second, and processor time in us that the server spent on each."""

    rate: float
    cost_us: float


class Load(Protocol):
    """A load that can be run for a while."""

    def turn(self, seconds: int) -> Turn:
        """Run it for about so long."""


class Wrk:
    """A path of a server that is asked with one key after the other."""

    def __init__(self, server: Server, path: str) -> None:
        self._server, self._path = server, path

    def turn(self, seconds: int) -> Turn:
        """Run it for so long."""
        wrk = program("wrk", "apt install wrk")
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(_WRK)
            script.flush()
            url = f"http://127.0.0.1:{self._server.http}"
            used_s = self._server.used_s()
            options = ("-t1", "-c64", f"-d{seconds}s", "-s", script.name)
            said = run([wrk, *options, url, "--", self._path], 60 + 2 * seconds).said
            used_s = self._server.used_s() - used_s
        count = int(_found(r"(\d+) requests in", said))
        refused = int(match[1]) if (match := re.search(r"Non-2xx.*: (\d+)", said)) else 0
        if not (refused == 0 if "admitted" in self._path else count - refused <= KEYS):
            raise Missing(f"{self._path}: {refused} of {count} were refused")
        return Turn(float(_found(r"Requests/sec:\s*([\d.]+)", said)), used_s / count * 1e6)


class Resp:
    """A command that is sent with keys at random, so many at once on each connection."""

    def __init__(self, server: Server, at_once: int, command: tuple[str, ...]) -> None:
        self._server, self._at_once, self._command = server, at_once, command
        self._rate = 20_000.0

    def turn(self, seconds: int) -> Turn:
        """Run it for about so long, by the rate of the turn before."""
        path = program("redis-benchmark", "apt install redis-tools")
        count = int(max(1_000, self._rate * seconds))
        used_s = self._server.used_s()
        options = ("--csv", "-p", str(self._server.resp), "-c", "50", "-n", str(count))
        keys = ("-P", str(self._at_once), "-r", str(KEYS))
        said = run([path, *options, *keys, *self._command], 60 + 20 * seconds).said
        used_s = self._server.used_s() - used_s
        self._rate = float(_found(r'\n"[^"]*","([\d.]+)"', said))
        return Turn(self._rate, used_s / count * 1e6)


def _found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise Missing(f"{Path(pattern).name!r} is not in {said[:200]!r}")
    return match[1]
