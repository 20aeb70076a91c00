"""64 clients without think time on as many connections, every request recorded."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from enforcing.measuring import Figure, figure, ratios

from simulating.programs import Missing
from simulating.server import Server
from simulating.testers import PEERS, Rateproof, Tester
from simulating.turns import Turn, in_turn

LOGGING = "rateproof simulate --log"
WANTED = {
    Rateproof().name: {"wrk": ">= 0.9", "hey": ">= 1.5", "Locust FastHttpUser": ">= 8"},
    LOGGING: {"wrk": ">= 0.95"},
}


def measure(rounds: int, seconds: int) -> Iterator[Figure]:
    """Requests a second and processor time a request, ours and the peers'."""
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        ours = Rateproof()
        logging = Rateproof(LOGGING, Path(folder) / "log.parquet")
        peers = list(_peers())
        turns = in_turn([ours, logging, *peers], server, rounds, seconds)
    for name in (ours.name, logging.name):
        mine = turns[name]
        yield from _alone(name, mine)
        for peer in peers:
            rates = [[turn.rate for turn in each] for each in (mine, turns[peer.name])]
            wanted = WANTED[name].get(peer.name)
            yield figure(
                name, median(rates[0]), "requests/s",
                peer=peer.name, ratio=ratios(*rates), wanted=wanted,
            )  # fmt: skip
    for peer in peers:
        yield from _alone(peer.name, turns[peer.name])


def _alone(name: str, turns: list[Turn]) -> Iterator[Figure]:
    yield figure(name, median(turn.rate for turn in turns), "requests/s")
    for kind in ("user", "system"):
        value = median(getattr(turn, f"{kind}_us") for turn in turns)
        yield figure(f"{name}, {kind} time", value, "us/request")
    share = median(turn.server for turn in turns)
    yield figure(f"{name}, server", share, "share", wanted="<= 0.9")


def _peers() -> Iterator[Tester]:
    for peer in PEERS:
        try:
            yield peer()
        except Missing as missing:
            print(f"closed: left out: {missing}", file=sys.stderr)
