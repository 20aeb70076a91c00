"""A plan comes true: a real nginx in front of `server.py`, whose rejections are counted.

nginx writes two logs of the same requests. That with statuses says how many were rejected; the plan is made from the
other, which has none.
"""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from proving.front import nginx
from proving.limiters import free_port, running

from rateproof.cli import main
from rateproof.enforce.stores.location import remove

__all__ = ["POLICIES", "Run", "run"]

POLICIES = (
    "20 per 2s",
    "token-bucket 10 per 1s burst 15",
    "fixed-window 20 per 2s",
    "first-hit-window 10 per 1s",
    "sliding-counter 20 per 2s",
    "12 per 1s; 40 per 4s",
)
_SERVER = Path(__file__).parents[2] / "server.py"
_CLIENTS = 20
_LOGS = {"planned": '$remote_addr $msec $request_time "$request"', "decided": "$status"}


@dataclass(frozen=True, slots=True)
class Run:
    """A run, and its plan.

    Args:
        policy: which.
        requests: in the log.
        rejected: answers of 503 in the log with statuses.
        least: rejections that the plan says, at least.
        most: and at most.
    """

    policy: str
    requests: int
    rejected: int
    least: int
    most: int

    @property
    def true(self) -> bool:
        """True if it came as it was planned."""
        return self.least <= self.rejected <= self.most

    def __str__(self) -> str:
        width = 100 * (self.most - self.least) / max(1, self.requests)
        return (
            f"{self.policy:32} {self.requests:6,} requests, {self.rejected:5,} rejected, "
            f"planned {self.least:5,} to {self.most:5,} ({width:.1f} %)"
            f"{'' if self.true else '  FALSE'}"
        )


def run(policy: str, seed: int, *, seconds: int = 6, rate: int = 300) -> Run:
    """Poisson traffic of 20 clients through nginx to `server.py` under a policy.

    Raises:
        SystemExit: nginx is not installed.
    """
    limited = free_port()
    server = (sys.executable, str(_SERVER), "--port", str(limited), "--policy", policy)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with (
                running(limited, *server, "--workers", "1"),
                nginx(f"127.0.0.1:{limited}", folder, _LOGS) as port,
            ):
                _send(port, seed, seconds, rate)
        finally:
            remove(f"server-{limited}")
        statuses = (folder / "decided.log").read_text(encoding="ascii").split()
        found = _planned(folder / "planned.log", policy)
    return Run(policy, found["requests"], statuses.count("503"), *found["policy"]["rejected"])


def _send(port: int, seed: int, seconds: int, rate: int) -> None:
    command = [
        *(sys.executable, "-m", "rateproof", "simulate", f"http://127.0.0.1:{port}/"),
        *("--behaviour", "poisson", "--clients", str(_CLIENTS), "--rate", str(rate)),
        *("--duration", f"{seconds}s", "--seed", str(seed), "--plain"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _planned(log: Path, policy: str) -> dict:
    told = ["plan", str(log), "--format", _LOGS["planned"], "--json"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main([*told, "--key", "query:clientId", "--policy", policy])
    assert code == 0, out.getvalue()
    found: dict = json.loads(out.getvalue())
    return found
