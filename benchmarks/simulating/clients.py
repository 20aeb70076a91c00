"""A million clients that think: the memory of each, how soon they begin, and how late they are."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from enforcing.measuring import Figure, figure

from rateproof.events import read_log
from simulating.machine import idle_lag_p99_ns
from simulating.programs import Missing, Ran
from simulating.server import Server
from simulating.testers import simulate

MANY, FEW = 1_000_000, 1_000
RATE, FAST = 500, 20_000
CONNECTIONS = 1_000


def measure(rounds: int, seconds: int) -> Iterator[Figure]:
    """Many against few, which send as many requests over as many connections.

    The log would hide the clients: closing it takes more memory for a moment
    than all of them have. It tells when the first request was sent, in runs
    of its own. Lateness is that of a third run, at 20,000 requests a second;
    that of the machine stands beside it.
    """
    peaks: dict[int, list[int]] = {MANY: [], FEW: []}
    starts, lags, idle = [], [], []
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        log = Path(folder) / "log.parquet"
        for _ in range(rounds):
            for clients in (MANY, FEW):
                peaks[clients].append(_run(server, seconds, clients)[0].peak_bytes)
            ran, _ = _run(server, seconds, MANY, f"--log={log}")
            lags.append(_run(server, seconds, MANY, rate=FAST)[1]["audit"]["own_lag_p99_ns"] / 1e6)
            idle.append(idle_lag_p99_ns(FAST, seconds) / 1e6)
            starts.append((min(read_log(log).column("sent_ns")) - ran.began_ns) / 1e9)
    pairs = zip(peaks[MANY], peaks[FEW], strict=True)
    each = median((many - few) / (MANY - FEW) for many, few in pairs)
    yield figure("memory of a client that thinks", each, "bytes", wanted="<= 250")
    yield figure(f"memory of {MANY} clients, program and all", median(peaks[MANY]) / 1e6, "MB")
    yield figure(f"{MANY} clients, first request sent", median(starts), "s", wanted="<= 3")
    yield figure(
        f"{MANY} clients at {FAST} requests/s, own lag p99", median(lags), "ms", wanted="<= 1"
    )
    yield figure(f"{FAST} instants/s, lag p99 of who only reads the clock", median(idle), "ms")


def _run(
    server: Server, seconds: int, clients: int, *options: str, rate: int = RATE
) -> tuple[Ran, dict[str, Any]]:
    ran, said = simulate(
        server.url, seconds, "--behaviour=think", f"--clients={clients}", f"--rate={rate}",
        f"--max-connections={CONNECTIONS}", *options,
    )  # fmt: skip
    if said["clients"] != clients or said["requests"] < rate * seconds / 2:
        raise Missing(f"{said['requests']} requests in {seconds} s, not {rate} a second")
    return ran, said
