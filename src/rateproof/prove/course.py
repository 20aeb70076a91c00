"""A key that does not fit in memory, explained as its requests come: `docs/theory.md`, section 2.12."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import NamedTuple

from rateproof import core
from rateproof.clock import EXACT, Tolerance
from rateproof.events import REJECTED, EventLog
from rateproof.events.judged import answers, columns_of
from rateproof.events.pieces import Pieces
from rateproof.events.reading_ahead import ahead
from rateproof.policy import Policy
from rateproof.prove.over_admission.families import Model
from rateproof.prove.wrong_rejection.fullness import BucketRule
from rateproof.prove.wrong_rejection.rules import Judgement, horizon_ns

_EVER_NS = 2**62


class Explanation(NamedTuple):
    """The part of a key's answers that instants were found for which the policy allows.

    Args:
        admitted: whether all that were admitted, on clocks that agree, and also if all of unknown
            outcome that ended were.
        rejected: whether all that were rejected, too.
    """

    admitted: bool = False
    rejected: bool = False


def explained(
    pieces: Pieces,
    numbers: Sequence[int],
    policy: Policy,
    tolerance: Tolerance,
    judgement: Judgement,
) -> Explanation:
    """Explain a key that has several pieces, from the first request to the last.

    Raises:
        LogError: a piece cannot be read.
    """
    model, rules = Model.of(policy, EXACT), judgement.rules(tolerance)
    if model.families:
        return Explanation()
    stretch = pieces.stretch(numbers[0])
    from_ns = -_EVER_NS
    if not judgement.fresh and stretch is not None:
        known_ns = judgement.since_ns
        if known_ns is None:
            known_ns = stretch.first_ns + (judgement.longest_ns or 0)
        from_ns = known_ns + horizon_ns(rules)
    course = core.required_native("a log in pieces").Course(
        [stair.figures() for stair in model.stairs],
        pieces.rows_of(numbers[0]),
        [astuple(log) for log in judgement.logs(tolerance)],
        (from_ns, _EVER_NS if judgement.until_ns is None else judgement.until_ns),
    )
    any_rejected = False
    for log in ahead(_own(pieces, numbers)):
        any_rejected |= any(of.outcome == REJECTED for of in answers(log))
        course.go_on(columns_of(log))
    admitted, rejected = course.explained()
    # What a bucket lacks may have been taken at any time before, and what was lost counted at any since.
    bounded = judgement.longest_ns is not None and not any(
        isinstance(rule, BucketRule) for rule in rules
    )
    judged = bool(rules) and any_rejected
    return Explanation(admitted, rejected and (bounded or not judged))


def _own(pieces: Pieces, numbers: Sequence[int]) -> Iterator[EventLog]:
    for number in numbers:
        yield pieces.own(number)
