"""100,000 clients that think: the memory of each, and how soon the first request is sent."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from enforcing.measuring import Figure, figure

from rateproof.events import read_log
from simulating.programs import Missing, Ran
from simulating.server import Server, serving
from simulating.testers import simulate

MANY, FEW = 100_000, 1_000
RATE = 500
CONNECTIONS = 64


def measure(rounds: int, seconds: int) -> Iterator[Figure]:
    """Many against few, which send as many requests over as many connections.

    The log would hide the clients: closing it takes more memory for a moment
    than all of them have. It tells when the first request was sent, in runs
    of its own.
    """
    peaks: dict[int, list[int]] = {MANY: [], FEW: []}
    starts = []
    with tempfile.TemporaryDirectory() as folder, serving() as server:
        log = Path(folder) / "log.parquet"
        for _ in range(rounds):
            for clients in (MANY, FEW):
                peaks[clients].append(_run(server, seconds, clients).peak_bytes)
            ran = _run(server, seconds, MANY, f"--log={log}")
            starts.append((min(read_log(log).column("sent_ns")) - ran.began_ns) / 1e9)
    pairs = zip(peaks[MANY], peaks[FEW], strict=True)
    each = median((many - few) / (MANY - FEW) for many, few in pairs)
    yield figure("memory of a client that thinks", each, "bytes", wanted="<= 2048")
    yield figure(f"memory of {MANY} clients, program and all", median(peaks[MANY]) / 1e6, "MB")
    yield figure(f"{MANY} clients, first request sent", median(starts), "s", wanted="<= 5")


def _run(server: Server, seconds: int, clients: int, *options: str) -> Ran:
    ran, said = simulate(
        server.url, seconds, "--behaviour=think", f"--clients={clients}", f"--rate={RATE}",
        f"--max-connections={CONNECTIONS}", *options,
    )  # fmt: skip
    if said["clients"] != clients or said["requests"] < RATE * seconds / 2:
        raise Missing(f"{said['requests']} requests in {seconds} s, not {RATE} a second")
    return ran
