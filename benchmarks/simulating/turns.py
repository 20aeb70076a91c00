"""Testers in turn, checked against what the server counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulating.programs import Missing
from simulating.server import Server
from simulating.testers import Tester

CONNECTIONS = 64


@dataclass(frozen=True)
class Turn:
    """One turn: requests a second, processor time in us of each request, and the server's share of its own."""

    rate: float
    user_us: float
    system_us: float
    server: float


def in_turn(
    testers: Sequence[Tester], server: Server, rounds: int, seconds: int
) -> dict[str, list[Turn]]:
    """A turn of each in each round, in an order that rotates."""
    turns: dict[str, list[Turn]] = {tester.name: [] for tester in testers}
    for number in range(rounds):
        first = number % len(testers)
        for tester in (*testers[first:], *testers[:first]):
            turns[tester.name].append(_turn(tester, server, seconds))
    return turns


def _turn(tester: Tester, server: Server, seconds: int) -> Turn:
    before, used_s = server.counted(), server.used_s()
    ran, requests, took = tester.turn(server.url, CONNECTIONS, seconds)
    used_s = server.used_s() - used_s
    counted = server.counted() - before - 1
    # At its end a tester may leave a request on each connection uncounted.
    if requests == 0 or not requests <= counted <= requests + 2 * CONNECTIONS:
        raise Missing(f"{tester.name} says {requests} requests, the server counted {counted}")
    return Turn(
        rate=requests / took,
        user_us=ran.user_s / requests * 1e6,
        system_us=ran.system_s / requests * 1e6,
        server=used_s / took,
    )
