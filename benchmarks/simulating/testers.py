"""Load testers: how each is told to keep connections busy, and what it says of it."""

import json
import re
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from simulating.programs import Missing, Ran, program, run

HERE = Path(__file__).parent
START_S = 30
"""So much longer than its turn may a program take."""


class Tester(ABC):
    """A program that keeps some connections busy for some seconds."""

    name: str

    @abstractmethod
    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        """Resources used, requests, and the seconds in which they were answered."""


class Rateproof(Tester):
    """Ours, as a user runs it."""

    def __init__(self, name: str = "rateproof simulate", log: Path | None = None) -> None:
        self.name = name
        self.log = log

    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        options = [] if self.log is None else ["--log", str(self.log)]
        ran, said = simulate(
            url, seconds, "--clients", connections, "--behaviour", "saturate", *options
        )
        return ran, said["requests"], said["seconds"]


def simulate(url: str, seconds: int, *options: object) -> tuple[Ran, dict[str, Any]]:
    """Run our command on one thread; what it used, and its results."""
    command = [
        sys.executable, "-m", "rateproof", "simulate", url, "--transport=native", "--threads=1",
        f"--duration={seconds}s", "--json", "--plain", *map(str, options),
    ]  # fmt: skip
    ran = run(command, seconds + START_S)
    said: dict[str, Any] = json.loads(ran.said)
    if said["errors"]:
        raise Missing(f"requests failed: {said['errors']}")
    return ran, said


class Wrk(Tester):
    name = "wrk"

    def __init__(self) -> None:
        self.path = program("wrk", "apt install wrk")

    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        ran = run([self.path, "-t1", f"-c{connections}", f"-d{seconds}s", url], seconds + START_S)
        found = _found(r"(\d+) requests in ([0-9.]+)s", ran.said)
        return ran, int(found[1]), float(found[2])


class Hey(Tester):
    """Go sees one processor, so that it starts one thread for its code."""

    name = "hey"

    def __init__(self) -> None:
        self.path = program("hey", "apt install hey")

    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        command = [self.path, "-z", f"{seconds}s", "-c", str(connections), url]
        ran = run(command, seconds + START_S)
        count = int(_found(r"\[200\]\s+(\d+) responses", ran.said)[1])
        return ran, count, float(_found(r"Total:\s+([0-9.]+) secs", ran.said)[1])


class Oha(Tester):
    name = "oha"

    def __init__(self) -> None:
        self.path = program("oha", "cargo install oha")

    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        command = [
            self.path, "-z", f"{seconds}s", "-c", str(connections), "--no-tui",
            "--output-format", "json", url,
        ]  # fmt: skip
        ran = run(command, seconds + START_S)
        said = json.loads(ran.said)
        return ran, sum(said["statusCodeDistribution"].values()), said["summary"]["total"]


class Vegeta(Tester):
    """It writes each result down, as we do with a log; its report is not in the figures."""

    name = "vegeta"

    def __init__(self) -> None:
        self.path = program("vegeta", "go install github.com/tsenart/vegeta/v12@latest")

    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        with tempfile.NamedTemporaryFile() as results:
            command = [
                self.path, "attack", "-rate=0", f"-max-workers={connections}",
                f"-workers={connections}", f"-connections={connections}",
                f"-duration={seconds}s", f"-output={results.name}",
            ]  # fmt: skip
            ran = run(command, seconds + START_S, f"GET {url}\n".encode())
            report = subprocess.check_output([self.path, "report", "-type=json", results.name])
        said = json.loads(report)
        return ran, said["requests"], (said["duration"] + said["wait"]) / 1e9


class K6(Tester):
    name = "k6"

    def __init__(self) -> None:
        self.path = program("k6", "go install go.k6.io/k6@latest")

    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        with tempfile.NamedTemporaryFile() as summary:
            command = [
                self.path, "run", "--quiet", "--no-usage-report", f"--vus={connections}",
                f"--duration={seconds}s", f"--summary-export={summary.name}",
                "--env", f"TARGET={url}", str(HERE / "k6.js"),
            ]  # fmt: skip
            ran = run(command, seconds + START_S)
            said = json.load(summary)["metrics"]["http_reqs"]
        return ran, said["count"], said["count"] / said["rate"]


class Locust(Tester):
    name = "Locust FastHttpUser"

    def __init__(self) -> None:
        self.path = program("locust", "pip install locust")

    def turn(self, url: str, connections: int, seconds: int) -> tuple[Ran, int, float]:
        command = [
            self.path, "--headless", "--json", "--skip-log", f"--users={connections}",
            f"--spawn-rate={connections}", f"--run-time={seconds}s", f"--host={url.rstrip('/')}",
            f"--locustfile={HERE / 'locustfile.py'}",
        ]  # fmt: skip
        ran = run(command, seconds + START_S)
        (said,) = json.loads(ran.said)
        took = said["last_request_timestamp"] - said["start_time"]
        return ran, said["num_requests"], took


PEERS: tuple[type[Tester], ...] = (Wrk, Hey, Oha, Vegeta, K6, Locust)


def _found(pattern: str, said: str) -> re.Match[str]:
    found = re.search(pattern, said)
    if found is None:
        raise Missing(f"nothing like {pattern!r} in {said[-500:]!r}")
    return found
