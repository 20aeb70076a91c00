"""The part of a log that a verdict rests on: its columns as they are stored, and its answers."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rateproof import core
from rateproof.events.columns import NULL
from rateproof.events.log import ADMITTED, REJECTED, EventLog

LONG: Final = 200_000
"""Rows beyond which a log is not looked at client by client for what its target does instead."""

_STORED: Final = (
    "key",
    "outcome",
    "error",
    "sent_ns",
    "received_ns",
    "done_ns",
    "status",
    "retry_after_s",
    "ratelimit_remaining",
    "ratelimit_reset_s",
)

JUDGED: Final = frozenset({*_STORED, "run", "sequence", "bytes"})
"""The columns that the verdict on a long log, and its evidence, are made of."""

_KINDS: Final = {ADMITTED: 0, REJECTED: 1}


def is_long(log: EventLog) -> bool:
    """Tell whether a log has too many requests to be looked at key by key."""
    return len(log) > LONG


def columns_of(log: EventLog) -> dict[str, Any]:
    """Return what of a log is judged, as it is stored: one number for all rows, or a buffer."""
    return {name: log.stored(name) for name in _STORED} | {
        "marked": marks_told(log),
        "rows": len(log),
        "words": log.words("key"),
        "kinds": bytes(_KINDS.get(word, 2) for word in log.words("outcome")),
        "refused": bytes(word == "refused" for word in log.words("error")),
    }


def marks_told(log: EventLog) -> bool | None:
    """The metadata's own word on marks: of a part of a log, it is known from the whole."""
    told = log.metadata.get("marked_rejections")
    return told if isinstance(told, bool) else None


class AnswerKind(NamedTuple):
    """A kind of answer.

    Args:
        run: number of the run.
        status: the status, None if no answer came.
        outcome: the outcome.
        error: kind of failure.
        marked: whether it has a Retry-After or RateLimit field.
        answered: whether it is known when it came.
    """

    run: int
    status: int | None
    outcome: str
    error: str | None
    marked: bool
    answered: bool


class Tally(NamedTuple):
    """Number of times that an answer came, and its longest time; None where that is not known."""

    times: int
    longest_ns: int | None


def answers(log: EventLog) -> Mapping[AnswerKind, Tally]:
    """Every kind of answer in a log, in order of appearance."""
    found: Mapping[AnswerKind, Tally] = log.found("answers", _answers)
    return found


def _answers(log: EventLog) -> Mapping[AnswerKind, Tally]:
    native = core.native()
    if native is None or not len(log):
        return _by_row(log)
    outcomes, errors = log.words("outcome"), log.words("error")
    found: dict[AnswerKind, Tally] = {}
    for answer, (times, longest_ns) in native.answers(columns_of(log), log.stored("run")):
        run, status, outcome, error, marked, answered = answer
        known = None if status == NULL else status
        told = AnswerKind(run, known, outcomes[outcome], errors[error], marked, answered)
        found[told] = Tally(times, longest_ns if answered else None)
    return found


def _by_row(log: EventLog) -> Mapping[AnswerKind, Tally]:
    names = ("run", "status", "outcome", "error", "retry_after_s", "ratelimit_remaining")
    times: Counter[AnswerKind] = Counter()
    longest: dict[AnswerKind, int] = {}
    rows = zip(*map(log.column, (*names, "sent_ns", "received_ns")), strict=True)
    for run, status, outcome, error, retry, remaining, sent_ns, received_ns in rows:
        marked = retry is not None or remaining is not None
        answer = AnswerKind(run, status, outcome, error, marked, received_ns is not None)
        times[answer] += 1
        if received_ns is not None:
            longest[answer] = max(longest.get(answer, 0), received_ns - sent_ns)
    return {answer: Tally(count, longest.get(answer)) for answer, count in times.items()}
