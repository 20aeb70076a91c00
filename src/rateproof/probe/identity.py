"""By what a limiter tells clients apart.

A client is saturated; then one thing about its request is varied at a time. Who is admitted
again is somebody else to the limiter: what was varied is in its key, or outside its reach.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from rateproof.errors import Unreachable
from rateproof.events import ADMITTED, UNKNOWN, outcome_of
from rateproof.probe.hello import say_hello
from rateproof.probe.sender import HttpSender
from rateproof.simulate.scenario import Scenario

IN_KEY, NOT_IN_KEY, UNTOLD = "in the key", "not in the key", "could not be told"
UNTRIED: Final = "not tried"
OTHER_ADDRESS: Final = "127.0.0.2"
_TRIES, _AGREED = 3, 2
_CONNECTION: Final = "connection"
_ERROR = 400

Way: TypeAlias = Callable[[Scenario], bool | None]
"""Varies one thing of a saturated client's request; whether it was admitted, None without an answer."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """Something about a request, and whether the limiter's key depends on it.

    Args:
        name: what was varied.
        verdict: `in the key`, `not in the key`, `could not be told`, or `not tried` for
            lack of requests.
    """

    name: str
    verdict: str


def most_of_a_dimension(limit: int) -> int:
    """Requests that it takes to vary one thing, at most."""
    return _TRIES * (limit + 4)


def dimensions(sender: HttpSender, limit: int, most_requests: int) -> list[Dimension]:
    """Vary one thing after the other, as far as the requests go.

    Args:
        sender: what reaches the server.
        limit: how many saturate a client.
        most_requests: in all.
    """
    base, end = sender.scenario, sender.requests + most_requests
    ways: dict[str, Way] = {
        name: partial(_admits, sender, name) for name in dict(_variants(sender, base))
    }
    if base.target.is_loopback and base.target.scheme == "http":
        ways["address"] = partial(_admits_elsewhere, sender)
    found = []
    for name, way in ways.items():
        enough = sender.requests + most_of_a_dimension(limit) <= end
        same = name == _CONNECTION
        found.append(
            Dimension(name, _verdict(sender, way, limit, same=same) if enough else UNTRIED)
        )
    return found


def _variants(sender: HttpSender, base: Scenario) -> Iterator[tuple[str, Scenario]]:
    """The name of what is varied, and the request that differs in it alone."""
    yield str(base.key), sender.fresh(base)
    yield _CONNECTION, base  # each request that is asked for has one of its own
    path, mark, query = base.target.path.partition("?")
    longer = path.rstrip("/") + "/rateproof-probe"
    yield "path", replace(base, target=replace(base.target, path=longer + mark + query))
    more = f"{path}?{query}&" if query else f"{path}?"
    yield "query", replace(base, target=replace(base.target, path=f"{more}rateproof-probe=1"))
    yield "method", replace(base, method="HEAD" if base.method == "GET" else "GET", body=b"")
    for header, value in (("User-Agent", "probe"), ("X-Forwarded-For", "192.0.2.7")):
        if header.lower() != base.key.name.lower():
            others = tuple(
                (name, text) for name, text in base.headers if name.lower() != header.lower()
            )
            yield f"header:{header}", replace(base, headers=(*others, (header, value)))


def _verdict(sender: HttpSender, way: Way, limit: int, *, same: bool) -> str:
    """Denied like the saturated client, or admitted where that is still denied, twice.

    Once it may be that something came back just in between. With a limit of 1 there is no
    second time: the same value is varied to, and has used up its own.
    """
    agreed, needed = 0, _TRIES if same else min(limit, _AGREED)
    for _ in range(_TRIES):
        base = sender.fresh(sender.scenario)
        admitted = way(base) if _admitted(sender, base, limit + 2) is False else None
        if admitted is None:
            return UNTOLD
        if not admitted:
            return NOT_IN_KEY
        agreed += same or _admitted(sender, base) is False
        if agreed == needed:
            return IN_KEY
    return UNTOLD


def _admitted(sender: HttpSender, scenario: Scenario, most: int = 1) -> bool | None:
    """Tell if the last of so many was admitted, or of as many as it takes to be denied."""
    history = sender.ask(scenario, most=most)
    return history[-1].admitted > 0 if history else None


def _admits(sender: HttpSender, name: str, base: Scenario) -> bool | None:
    """None where an error came back that the client itself never met: no limiter said that."""
    before = sender.statuses.copy()
    admitted = _admitted(sender, dict(_variants(sender, base))[name])
    new = {status for status in sender.statuses if status is not None} - before.keys()
    errors = {status for status in new if status >= _ERROR} - base.rejected_statuses
    return None if errors else admitted


def _admits_elsewhere(sender: HttpSender, base: Scenario) -> bool | None:
    """The same request from another address of this machine, where that can be had."""
    try:
        hello = say_hello(base, OTHER_ADDRESS)
    except Unreachable:
        return None
    sender.statuses[hello.status] += 1
    outcome = outcome_of(hello.status, base.rejected_statuses)
    return None if outcome == UNKNOWN else outcome == ADMITTED
