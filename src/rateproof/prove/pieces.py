"""The survey of a log in pieces: each is asked the same question, and the answers are joined."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from math import inf
from operator import itemgetter
from typing import Any

from rateproof.clock import Tolerance
from rateproof.events.pieces import Pieces
from rateproof.policy import Policy
from rateproof.prove.course import explained
from rateproof.prove.headers import MOST_FINDINGS, Headers, all_headers
from rateproof.prove.keys import Counts, KeyLog
from rateproof.prove.piece_survey import (
    ORDERS,
    NamedKey,
    PieceSurvey,
    Question,
    named,
    survey_piece,
)
from rateproof.prove.power.pressure import (
    MOST_CALLS,
    ClosestCall,
    Pressure,
    first_of_each,
    unpressed,
)
from rateproof.prove.screen import Rows, Survey, Suspect
from rateproof.prove.wrong_rejection.rules import Judgement

_Leading = tuple[int, int, int, int, NamedKey]
"""Rank, digest, quota and piece of a key."""


def survey_of_pieces(
    pieces: Pieces,
    policy: Policy,
    tolerance: Tolerance,
    judgement: Judgement,
    *,
    over_admission: bool,
    headers: bool,
) -> Survey:
    """Survey a log in pieces, as `Pieces.spread` has them looked at.

    What is first among equals has the least digest, so the survey is the same in any number of
    pieces.

    Raises:
        LogError: a piece cannot be read.
    """
    asked = pieces, policy, tolerance, judgement
    question = Question.of(*asked, over_admission=over_admission, headers=headers)
    surveys = [*pieces.spread(partial(survey_piece, question=question), question)]
    broken = {one.number for one in surveys for _, window, _ in one.suspects if window is not None}
    pieces.explained, looked_at = {}, pieces.judged
    for own in pieces.stretched:
        if looked_at.keys() >= set(own) and broken.isdisjoint(own):
            found = explained(pieces, own, policy, tolerance, question.judgement)
            pieces.explained[own.start] = found
    return joined(pieces, question, surveys)


@dataclass(frozen=True, slots=True)
class _Keys:
    """The requests of some keys, whose piece is read again where they were not kept."""

    pieces: Pieces
    marked: bool
    kept: Mapping[tuple[int, int], KeyLog]

    def key_log(self, number: int, code: int, within: tuple[int, int] | None = None) -> KeyLog:
        if within is None and (number, code) in self.kept:
            return self.kept[number, code]
        rows = Rows(self.pieces.piece(number), [code], marked=self.marked)
        return named(self.pieces, number, rows.key_log(code, within))


def joined(pieces: Pieces, question: Question, surveys: Iterable[PieceSurvey]) -> Survey:
    """The survey of a whole log from those of all its pieces, in any order."""
    policy, several = question.policy, sorted(surveys, key=lambda one: one.number)
    seen_ns = pieces.reach_ns if pieces.has_stretches else inf
    leaders = {
        order: _first_of_each_key(
            sorted(
                (
                    (rank, key.digest, quota, one.number, key)
                    for one in several
                    for rank, key, quota in one.leaders[order]
                ),
                key=itemgetter(0, 1, 2),
            )
        )
        for order in ORDERS
    }
    leading = {(number, key.code) for of in leaders.values() for *_, number, key in of}
    suspected = {(one.number, key.code) for one in several for key, *_ in one.suspects}
    kept = {
        (one.number, code): key
        for one in several
        for code, key in one.kept.items()
        if (one.number, code) in leading or (one.number, code) in suspected
    }
    key_log = _Keys(pieces, question.marked, kept).key_log
    calls = [
        ClosestCall.of(key.key, policy, quota, margin_ns)
        for margin_ns, _, quota, _, key in leaders["closest"]
    ]
    pressed = first_of_each(*([key.key for *_, key in leaders[order]] for order in ORDERS))
    where = {
        key.key: (number, key.code)
        for order in reversed(ORDERS)
        for *_, number, key in leaders[order]
    }
    return Survey(
        counts=sum((one.counts for one in several), Counts()),
        pressure=tuple(
            _hardest(total, [one.pressure[quota] for one in several], seen_ns)
            for quota, total in enumerate(unpressed(policy))
        ),
        longest_ns=question.judgement.longest_ns,
        suspects=[
            replace(
                Suspect(
                    partial(key_log, one.number, key.code),
                    None if broken is None else partial(key_log, one.number, key.code, broken),
                    *_known(pieces, one.number, costs),
                ),
                number=key.digest,
            )
            for one in several
            for key, broken, costs in one.suspects
        ],
        wrong_if_exact=any(one.wrong_if_exact for one in several),
        wrong_if_unknown=any(one.wrong_if_unknown for one in several),
        closest=tuple(one for one in calls if one.window_ns + one.margin_ns <= seen_ns),
        pressed=[partial(key_log, *where[key]) for key in pressed],
        headers=_all_headers(several),
    )


def _known(pieces: Pieces, number: int, costs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The costs of searches; those that find nothing, since the whole key is explained, are for nothing."""
    admitted, rejected = pieces.explained_with(number)
    *over, wrong, joint, nested = costs
    return (*([0] * len(over) if admitted else over), wrong, 0 if rejected else joint, nested)


def _first_of_each_key(ranked: Iterable[_Leading]) -> list[_Leading]:
    """The first few; a key that has several pieces is there once."""
    first = dict[bytes, _Leading]()
    for one in ranked:
        first.setdefault(one[-1].key, one)
    return list(first.values())[:MOST_CALLS]


def _all_headers(several: Sequence[PieceSurvey]) -> Headers | None:
    """As of the whole: findings by the digests of their keys."""
    told = [(one.headers, one.stated) for one in several if one.headers is not None]
    total = all_headers([headers for headers, _ in told])
    findings = chain.from_iterable(
        zip(headers.findings, stated, strict=True) for headers, stated in told
    )
    found = sorted(findings, key=lambda one: one[1].digest)[:MOST_FINDINGS]
    return total and replace(total, findings=tuple(one for one, _ in found))


def _hardest(
    total: Pressure, pieces: Sequence[tuple[Any, NamedKey | None]], seen_ns: float
) -> Pressure:
    """The most of each figure; the key is that which leads the whole, where that is known.

    Admissions that took longer than `seen_ns` may not be the tightest: that much of each key was
    looked at together.
    """
    known = [(of, key) for of, key in pieces if key is not None]
    if not known:
        return total

    def tight_ns(of: Any) -> int | None:
        return None if of[3] is None or of[3] > seen_ns else of[3]

    leading, lead = min(
        known,
        key=lambda one: (
            tight_ns(one[0]) is None,
            -one[0][0] if tight_ns(one[0]) is None else tight_ns(one[0]),
            one[1].digest,
        ),
    )
    tightest = tight_ns(leading)
    return replace(
        total,
        attempts=max(of[0] for of, _ in known),
        possible=max(of[1] for of, _ in known),
        provable=max(of[2] for of, _ in known),
        margin_ns=None if tightest is None else tightest - total.window_ns,
        stressed=any(of[4] for of, _ in known),
        key=lead.key if tightest == leading[3] else b"",
    )
