"""Open Poisson arrivals: how late the generator itself sends."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from enforcing.measuring import Figure, figure

from simulating.machine import idle_lag_p99_ns
from simulating.server import Server
from simulating.testers import simulate

RATE = 20_000
CLIENTS = 500


def measure(rounds: int, seconds: int) -> Iterator[Figure]:
    """20,000 requests a second of 500 clients, from one processor."""
    audits: list[dict[str, Any]] = []
    sent: list[float] = []
    idle: list[float] = []
    invalid = 0
    with Server() as server:
        for _ in range(rounds):
            _, said = simulate(
                server.url, seconds, "--behaviour=poisson", f"--rate={RATE}", f"--clients={CLIENTS}"
            )
            sent.append(said["requests"] / (RATE * seconds))
            audits.append(said["audit"])
            invalid += not said["valid"]
            idle.append(idle_lag_p99_ns(RATE, seconds) / 1e6)
    # The seed is random; so many arrivals are within 2 % of their mean.
    yield figure(f"Poisson, {RATE} requests/s, sent", median(sent), "share", wanted=">= 0.98")
    yield figure(f"Poisson, {RATE} requests/s, invalid", invalid, "runs", wanted="0")
    for name, wanted in (
        ("own_lag_p50_ns", None),
        ("own_lag_p99_ns", "<= 1"),
        ("lag_p99_ns", None),
    ):
        value = median(audit[name] / 1e6 for audit in audits)
        yield figure(f"Poisson, {RATE} requests/s, {name[:-3]}", value, "ms", wanted=wanted)
    yield figure(f"{RATE} instants/s, lag p99 of who only reads the clock", median(idle), "ms")
    share = median(audit["cpu_share"] for audit in audits)
    yield figure(f"Poisson, {RATE} requests/s, processor", share, "share")
