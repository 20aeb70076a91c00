"""Costs of the log: bytes of each event on disk, and throughput."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from enforcing.measuring import Figure, figure, ratios

from rateproof.events import read_log
from simulating.server import Server
from simulating.testers import Rateproof
from simulating.turns import in_turn


def measure(rounds: int, seconds: int) -> Iterator[Figure]:
    """With and without, in turn."""
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        path = Path(folder) / "log.parquet"
        without, writing = Rateproof("without"), Rateproof("with", path)
        turns = in_turn([without, writing], server, rounds, seconds)
        size, rows = path.stat().st_size, len(read_log(path))
    yield figure("a log in Parquet", size / rows, "bytes/event", wanted="<= 16")
    rates = [[turn.rate for turn in turns[each.name]] for each in (writing, without)]
    yield figure(
        "rateproof simulate --log", median(rates[0]), "requests/s",
        peer="rateproof simulate", ratio=ratios(*rates), wanted=">= 0.9",
    )  # fmt: skip
