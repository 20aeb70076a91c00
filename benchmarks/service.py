"""Speed of the decision service, against other servers in the same run.

    python benchmarks/service.py [PART ...] [--rounds N] [--seconds S] [--path FOLDER ...]

The load has one processor, whoever serves another; 10,000 keys, which are all denied or all admitted.
`http` is wrk with 64 connections, against nginx `limit_req`; `resp` is redis-benchmark with 50, against INCR
of Redis and throttlecrab, unpipelined and 16 commands at a time; `rls` is h2load with 64
streams of gRPC; `envoy` is Envoy's p99 at 2,000 requests a second, asking the service, a
server that decides nothing, and nobody; `threads` is the
service on two processors.
Prints one JSON object a line: name, value, unit, peer, ratio, wanted; the first says the machine and
the method. Whoever is measured has a turn in each round, in an order that rotates; medians throughout. Beside
the rates stands the processor time of whoever serves for each request: other work on the machine changes it less.
A peer that is missing is named on stderr.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import TypeVar

from enforcing.measuring import Figure, figure, ratios
from serving import envoy as gateway
from serving.loads import Load, Resp, Turn, Wrk
from serving.rls import RULES, H2load
from serving.servers import Nginx, Redis, Service, Throttlecrab
from simulating.machine import LOAD, SERVER, describe, told
from simulating.programs import Missing

OURS = "rateproof service"
Who = TypeVar("Who")


def main() -> None:
    asked = told(__doc__, PARTS)
    method = f"load on processor {LOAD}, servers on {SERVER}"
    print(json.dumps({**describe(asked.rounds, asked.seconds), "method": method}), flush=True)
    for part in asked.parts:
        try:
            for each in PARTS[part](asked.rounds, asked.seconds):
                print(json.dumps(each), flush=True)
        except Missing as missing:
            print(f"{part}: left out: {missing}", file=sys.stderr)


def http(rounds: int, seconds: int) -> Iterator[Figure]:
    """The HTTP check and nginx `limit_req`."""
    with Service() as ours, Nginx() as nginx:
        for kind in ("denied", "admitted"):
            loads: dict[str, Load] = {
                OURS: Wrk(ours, f"/check/{kind}"),
                "nginx limit_req": Wrk(nginx, f"/{kind}"),
            }
            turns = in_turn(loads, rounds, seconds)
            wanted = {"nginx limit_req": ">= 1.0" if kind == "denied" else None}
            yield from compared(f"HTTP check, {kind}", turns, wanted)


def resp(rounds: int, seconds: int) -> Iterator[Figure]:
    """CL.THROTTLE, INCR of Redis, and throttlecrab's THROTTLE."""
    with Service() as ours, Redis() as redis:
        crab = Throttlecrab() if Throttlecrab.is_there() else None
        try:
            for at_once, wanted in ((1, (">= 0.9", ">= 1")), (16, (">= 0.8", ">= 10"))):
                for kind, figures in (
                    ("denied", ("1", "1", "3600")),
                    ("admitted", ("999999", "1000000", "3600")),
                ):
                    key = "key:__rand_int__"
                    loads: dict[str, Load] = {
                        OURS: Resp(ours, at_once, ("CL.THROTTLE", key, *figures)),
                        "Redis INCR": Resp(redis, at_once, ("INCR", key)),
                    }
                    if crab is not None:
                        loads["throttlecrab"] = Resp(crab, at_once, ("THROTTLE", key, *figures))
                    turns = in_turn(loads, rounds, seconds)
                    peers = dict(zip(("Redis INCR", "throttlecrab"), wanted, strict=True))
                    yield from compared(f"CL.THROTTLE by {at_once}, {kind}", turns, peers)
        finally:
            if crab is not None:
                crab.stop()


def rls(rounds: int, seconds: int) -> Iterator[Figure]:
    """Calls of Envoy's rate limit service."""
    with Service(rules=RULES) as ours:
        for kind in ("denied", "admitted"):
            loads: dict[str, Load] = {OURS: H2load(ours, ours.rls, kind)}
            (turns,) = in_turn(loads, rounds, seconds).values()
            rate = median(turn.rate for turn in turns)
            yield figure(f"RLS, {kind}", rate, "calls/s", wanted=">= 40000")
            cost_us = median(turn.cost_us for turn in turns)
            yield figure(f"RLS, {kind}: processor time", cost_us, "us/call")


def envoy(rounds: int, seconds: int) -> Iterator[Figure]:
    """The 99th percentile that a question adds to Envoy's, at 2,000 requests a second.

    It is asked of the service, and of a server that decides nothing: what that adds is Envoy's own.
    """
    with (
        Service(rules=gateway.RULES) as ours,
        gateway.Yes() as yes,
        Nginx() as page,
        gateway.Envoy(page.http, ours.rls, asks=True) as asking,
        gateway.Envoy(page.http, yes.http, asks=True) as nothing,
        gateway.Envoy(page.http, ours.rls, asks=False) as silent,
    ):
        found: dict[gateway.Envoy, list[float]] = {asking: [], nothing: [], silent: []}
        for number in range(rounds):
            for each in rotated([*found], number):
                found[each].append(each.p99_ms("/admitted", seconds))
        yield figure("Envoy's p99", median(found[asking]), "ms")
        for who, of, wanted in (
            ("the service", asking, "<= 1"),
            ("what decides nothing", nothing, None),
        ):
            added = median(a - b for a, b in zip(found[of], found[silent], strict=True))
            yield figure(f"Envoy's p99, added by {who}", added, "ms", wanted=wanted)


def threads(rounds: int, seconds: int) -> Iterator[Figure]:
    """Processor time of a decision with two event loops, and with one."""
    with Service() as one, Service(threads=2) as two:
        command = ("CL.THROTTLE", "key:__rand_int__", "999999", "1000000", "3600")
        loads: dict[str, Load] = {
            "one": Resp(one, 16, command),
            "two": Resp(two, 16, command),
        }
        turns = in_turn(loads, rounds, seconds)
        costs = [[turn.cost_us for turn in turns[name]] for name in ("two", "one")]
        yield figure(
            "decision with two event loops", median(costs[0]), "us of processor time",
            peer="with one", ratio=ratios(*costs), wanted="<= 1.1",
        )  # fmt: skip


PARTS: dict[str, Callable[[int, int], Iterator[Figure]]] = {
    "http": http,
    "resp": resp,
    "rls": rls,
    "envoy": envoy,
    "threads": threads,
}


def rotated(each: list[Who], number: int) -> list[Who]:
    """The order of a round."""
    first = number % len(each)
    return [*each[first:], *each[:first]]


def in_turn(loads: dict[str, Load], rounds: int, seconds: int) -> dict[str, list[Turn]]:
    """A turn of each in each round, after one that nobody counts."""
    turns: dict[str, list[Turn]] = {name: [] for name in loads}
    names = list(loads)
    for name in names:
        loads[name].turn(1)
    for number in range(rounds):
        for name in rotated(names, number):
            turns[name].append(loads[name].turn(seconds))
    return turns


def compared(
    what: str, turns: dict[str, list[Turn]], wanted: Mapping[str, str | None]
) -> Iterator[Figure]:
    """Rates of ours beside those of each peer, and the processor time of a request."""
    mine = turns[OURS]
    for peer, theirs in turns.items():
        rates = [[turn.rate for turn in each] for each in (mine, theirs)]
        costs = [[turn.cost_us for turn in each] for each in (theirs, mine)]
        if peer == OURS:
            yield figure(what, median(rates[0]), "requests/s")
            yield figure(f"{what}: processor time", median(costs[0]), "us/request")
            continue
        yield figure(
            what, median(rates[1]), "requests/s of the peer",
            peer=peer, ratio=ratios(*rates), wanted=wanted.get(peer),
        )  # fmt: skip
        yield figure(
            f"{what}: processor time", median(costs[0]), "us/request of the peer",
            peer=peer, ratio=ratios(*costs),
        )  # fmt: skip


if __name__ == "__main__":
    main()
