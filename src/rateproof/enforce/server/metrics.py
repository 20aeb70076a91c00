"""`/metrics`: what was decided and how full the tables are, for Prometheus.

The text exposition format 0.0.4. All comes from the store, not from the process
that is asked: it is the same whichever worker answers, a worker that dies takes
nothing with it, and counters go on after a restart on the same store.
"""

from collections.abc import Callable, Iterable
from typing import Literal
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rateproof import __version__
from rateproof.core import active_core
from rateproof.enforce.counters import Count, Stats
from rateproof.enforce.http.addresses import Networks
from rateproof.enforce.http.flooding import FORWARDED
from rateproof.enforce.http.views import cgi_variable
from rateproof.enforce.limiter import Limiter
from rateproof.exposition import CONTENT_TYPE, family
from rateproof.policy import Policy

_FORWARDED = frozenset(map(cgi_variable, FORWARDED))
_LOOPBACK = Networks(("127.0.0.0/8", "::1/128"), "loopback")
_OUTCOMES = (Count.ADMITTED, Count.DENIED)
_COUNTS = {
    Count.NEAR_LIMIT: ("near_limit", "Admissions that left less than a fifth of a quota."),
    Count.FULL: ("full", "Decisions by on_full: no room for the client."),
    Count.ERROR: ("store_errors", "Decisions by on_error, and failures of the store."),
    Count.SHADOW: ("shadow", "Requests let pass by shadow mode alone."),
    Count.EXEMPT: ("exempt", "Requests of exempt keys, not counted against any quota."),
    Count.FLOOD: ("flood", "Of full: new clients of an address that has its share of the places."),
    Count.CACHED: ("cached", "Denials without a round trip (Redis)."),
    Count.DELETED: ("store_deleted", "Times that a process found its store deleted."),
}


class MetricsPage:
    """A WSGI application with `/metrics` in front of another one.

    Whoever may not see the page meets the other application there. A request
    from a loopback address that a proxy passed on is not from this machine.
    """

    def __init__(
        self, app: WSGIApplication, limiter: Limiter, peers: Literal["loopback", "any"]
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._may_see: Callable[[WSGIEnvironment], bool] = (
            (lambda _: True) if peers == "any" else _is_local
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if environ.get("PATH_INFO") != "/metrics" or not self._may_see(environ):
            return self._app(environ, start_response)
        body = exposition(self._limiter.policy, self._limiter.stats()).encode()
        length = str(len(body))
        start_response("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", length)])
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def exposition(policy: Policy, stats: Stats) -> str:
    """The page: what is enforced, and the figures of the limiter that does."""
    counts, tables = stats.counts, stats.tables.items()
    outcomes = [({"outcome": each.name.lower()}, counts[each]) for each in _OUTCOMES]
    pages = [
        family(
            "decisions_total",
            "counter",
            "Decisions by outcome, admitted or denied, whoever made them.",
            outcomes,
        )
    ]
    for count, (name, meaning) in _COUNTS.items():
        pages.append(family(f"{name}_total", "counter", meaning, [({}, counts[count])]))
    live = [({"quota": str(quota)}, keys) for quota, (keys, _) in tables]
    slots = [({"quota": str(quota)}, slots) for quota, (_, slots) in tables]
    lost = [({"quota": str(quota), "reason": why}, 1) for quota, why in stats.unreadable.items()]
    facts = {"version": __version__, "core": active_core(), "policy": str(policy)}
    pages += [
        family("live_keys", "gauge", "Clients whose history still matters.", live),
        family("table_slots", "gauge", "Places in the table, more than its capacity.", slots),
        family("table_unreadable", "gauge", "Tables that are not to be had now, and why.", lost),
        family("info", "gauge", "What is enforced, and by what.", [(facts, 1)]),
    ]
    return "".join(pages)


def _is_local(environ: WSGIEnvironment) -> bool:
    return environ.get("REMOTE_ADDR", "") in _LOOPBACK and _FORWARDED.isdisjoint(environ)
