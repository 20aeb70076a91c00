"""Answers of a target as a whole, where none of them shows a limiter at work."""

from collections import Counter
from collections.abc import Collection, Mapping
from http import HTTPStatus

from rateproof.events import REJECTED, EventLog, declines, listed, rejected_statuses
from rateproof.events.judged import answers
from rateproof.prove.keys import Counts

ODDLY_ADMITTED = "some answers that count as admitted were redirects or client errors"
"""The beginning of the sentence of `oddly_admitted`."""

UNANSWERED = {
    "refused": "nothing listens there",
    "dns": "the name of the host is not known",
    "tls": "no TLS connection came about: does that port speak TLS, and is its certificate trusted?",
    "protocol": "what comes back is not HTTP: does that port speak another protocol, or TLS "
    "(https://)?",
    "closed": "it hangs up without an answer: does that port speak another protocol, or TLS "
    "(https://)?",
    "reset": "it hangs up without an answer: does that port speak another protocol, or TLS "
    "(https://)?",
    "timeout": "it takes longer than the timeout",
    "oversized": "its header section is larger than 64 kB, or has more than 100 fields",
}
"""The sentence for each kind of error, where no request was answered."""

_ELSEWHERE = {
    400: "it does not accept such requests (does that port speak TLS, https://?)",
    401: "it asks for credentials first (for clients that it knows: --keys FILE)",
    403: "it lets nobody in (for clients that it knows: --keys FILE)",
    404: "there is nothing at that address",
    405: "that address does not accept the method",
    407: "a proxy asks for credentials first",
    410: "there is nothing at that address",
}


def statuses(log: EventLog) -> frozenset[int | None]:
    """Return every status that was answered; None: no answer."""
    return frozenset(of.status for of in answers(log))


def _answers(log: EventLog) -> Counter[int | None]:
    tally: Counter[int | None] = Counter()
    for of, found in sorted(answers(log).items(), key=lambda one: one[0].status or 0):
        tally[of.status] += found.times
    return tally


def if_rejected(doubted: Collection[int], known: Collection[int] = ()) -> str:
    """Return what to do if these statuses are rejections, beside those that are known to be."""
    return f"if the target rejects by {listed(doubted)}: --rejected {listed({*doubted, *known})}"


def perhaps_rejected(log: EventLog, counts: Counts) -> str:
    """A further reason why a log cannot tell, where no request that counts was rejected."""
    if counts.rejected:
        return ""
    known = rejected_statuses(log)
    doubted = {status for status in statuses(log) if status and declines(status)} - known
    return f"; {if_rejected(doubted)}" if doubted else ""


def doubted_rejections(log: EventLog, counts: Counts) -> str:
    """Number of requests of unknown outcome with a 503 that no limiter marked as its own.

    Nothing where `counts` is of a part of the log, whose 503s the whole cannot tell.
    """
    if counts.events != len(log):
        return ""
    rejected = sum(found.times for of, found in answers(log).items() if of.outcome == REJECTED)
    doubted = rejected - counts.rejected
    if not doubted:
        return ""
    return f" ({doubted} of them 503 without Retry-After or RateLimit, unlike other rejections)"


def failing_throughout(log: EventLog) -> bool:
    """True if every answer was a 503 that no limiter marked as its own: a server that is down."""
    if not statuses(log) <= {None, 503}:
        return False
    return not any(of.marked for of in answers(log))


def why_nothing_admitted(log: EventLog) -> str:
    """The reason why a log has no admission, where it has none."""
    seen = _answers(log)
    lost = seen.pop(None, 0)
    if not lost and not seen:
        return str(log.metadata.get("unsent", "no request was sent"))
    if not seen:
        errors: Counter[str] = Counter()
        for of, found in sorted(answers(log).items(), key=lambda one: one[0].error or ""):
            errors.update({of.error: found.times} if of.error else {})
        kind = errors.most_common(1)[0][0] if errors else ""
        told = f" ({_tally(errors)})" if errors else ""
        why = f": {UNANSWERED[kind]}" if kind in UNANSWERED else ""
        return f"no request was answered{told}{why}"
    if failing_throughout(log):
        return (
            "every answer was 503, without a mark of a limiter (Retry-After, RateLimit): "
            "the server may be down"
        )
    failures = all(status >= 500 for status in filter(None, seen))
    if failures and rejected_statuses(log).isdisjoint(seen):
        return f"every answer was a failure of the server ({_tally(seen)})"
    if not lost and (len(seen) == 1 or rejected_statuses(log).issuperset(seen)):
        what = _named(*seen) if len(seen) == 1 else f"a rejection ({_tally(seen)})"
        return f"every answer was {what}: it never admits anything"
    seen[None] = lost
    return f"nothing was admitted ({_tally(+seen)}), so nothing shows a limit at work"


def why_elsewhere(log: EventLog) -> str:
    """The reason for answers that are all client errors or redirects, but for rejections."""
    seen = _of(_declining(log), log)
    if all(status < 400 for status in seen):
        what, why = "a redirect", "redirects are not followed; test the address that they lead to"
    else:
        what = "a client error or a redirect"
        common = seen.most_common(1)[0][0]
        why = _ELSEWHERE.get(common, "the target may be another one than was meant")
    many = f"{what} ({_tally(seen)})"
    named = _named(*seen) if len(seen) == 1 else many
    which = "admitted answer" if rejected_statuses(log) & statuses(log) else "answer"
    return f"every {which} was {named}: {why}; {_if_behind(seen)}"


def oddly_admitted(log: EventLog) -> list[str]:
    """A sentence where some of what was admitted was answered by a client error or a redirect."""
    odd = _declining(log) - frozenset(log.metadata.get("undecided_statuses", ()))
    if not odd:
        return []
    told = _tally(_of(odd, log))
    return [f"{ODDLY_ADMITTED} ({told}); {_if_behind(odd)}"]


def _declining(log: EventLog) -> frozenset[int]:
    """Answers from 300 to 499 that are no rejections, and not named as what is admitted."""
    noted = log.metadata.get("admitted_statuses")
    known = rejected_statuses(log).union(noted if isinstance(noted, list) else ())
    return frozenset(one for one in statuses(log) if one and 300 <= one < 500) - known


def _of(wanted: Collection[int], log: EventLog) -> Counter[int]:
    return Counter({one: n for one, n in _answers(log).items() if one and one in wanted})


def _if_behind(doubted: Collection[int]) -> str:
    return f"if that is what lies behind the limiter: --admitted {listed(doubted)}"


def _named(status: int | None) -> str:
    try:
        return f"{status} ({HTTPStatus(status or 0).phrase})"
    except ValueError:
        return str(status)


def _tally(counts: Mapping[str, int] | Mapping[int, int] | Mapping[int | None, int]) -> str:
    most_first = sorted(counts.items(), key=lambda entry: -entry[1])
    return ", ".join(f"{'no answer' if what is None else what}: {n}" for what, n in most_first)


def only_elsewhere(log: EventLog) -> bool:
    """True if every answer but rejections says that the requests went to the wrong place.

    A login page, a redirect or a wrong path is seldom behind the limiter that
    is meant, so what it admits shows nothing.
    """
    odd = _declining(log)
    others = statuses(log) - odd - rejected_statuses(log) - {None}
    return bool(odd) and all(status >= 500 for status in filter(None, others))
