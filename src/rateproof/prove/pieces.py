"""The survey of a log in pieces: each is asked the same question, wherever that is done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from math import inf
from operator import itemgetter
from typing import Any, Self

from rateproof import core, linux
from rateproof.clock import Tolerance
from rateproof.errors import LogError
from rateproof.events import REJECTED, UNKNOWN, EventLog
from rateproof.events.judged import answers, columns_of
from rateproof.events.pieces import WHERE, Pieces
from rateproof.policy import Policy
from rateproof.prove.course import explained
from rateproof.prove.headers import MOST_FINDINGS, FalseStatement, Headers, all_headers, headers_of
from rateproof.prove.keys import (
    UNMARKED,
    Counts,
    KeyLog,
    counts_of,
    digest,
    marks_rejections,
    observe,
)
from rateproof.prove.over_admission.gaps import Stair
from rateproof.prove.power.pressure import (
    MOST_CALLS,
    ClosestCall,
    Pressure,
    first_of_each,
    unpressed,
)
from rateproof.prove.screen import Rows, Survey, Suspect, rules_of
from rateproof.prove.wrong_rejection.rules import Judgement, horizon_ns

_KEPT_ROWS = 200_000
_ORDERS = ("densest", "closest", "busiest")


def _longest_of(log: EventLog, *, marked: bool) -> int | None:
    """The longest way from sending to answer in a whole log; None where an answer was lost."""
    longest = 0
    for of, found in answers(log).items():
        bare = marked and of.outcome == REJECTED and of.status == UNMARKED and not of.marked
        if of.outcome == UNKNOWN or bare or not of.answered:
            return None
        longest = max(longest, found.longest_ns or 0)
    return longest


@dataclass(frozen=True, slots=True)
class Question:
    """The question that is put to every piece of a log; it can be sent to another process.

    Args:
        policy: what was promised.
        tolerance: what clocks may disagree on.
        judgement: what concerns all keys, with the longest time of the whole log.
        marked: whether the limiter is seen to mark its rejections, anywhere in the log.
        over_admission: whether to look for it.
        headers: whether to look at header fields too.
    """

    policy: Policy
    tolerance: Tolerance
    judgement: Judgement
    marked: bool
    over_admission: bool
    headers: bool

    @classmethod
    def of(
        cls,
        pieces: Pieces,
        policy: Policy,
        tolerance: Tolerance,
        judgement: Judgement,
        *,
        over_admission: bool = True,
        headers: bool = False,
    ) -> Self:
        """The question, with what has to be known of the whole log; its pieces are told so too."""
        marked = pieces.metadata["marked_rejections"] = marks_rejections(pieces)
        whole = replace(judgement, longest_ns=_longest_of(pieces, marked=marked))
        spans_ns = [Stair.of(quota).span_ns(1) for quota in policy.quotas]
        last_ns = max(*spans_ns, horizon_ns(judgement.rules(tolerance)))
        pieces.reach(2 * (last_ns + pieces.longest_ns))
        return cls(policy, tolerance, whole, marked, over_admission, headers)


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key of a piece.

    Args:
        digest: orders keys.
        code: of the key in the piece.
        key: the client's identity.
    """

    digest: int
    code: int
    key: bytes


_Leading = tuple[int, int, int, int, NamedKey]
"""Rank, digest, quota and piece of a key."""


@dataclass(frozen=True, slots=True)
class PieceSurvey:
    """The findings on one piece of a log, which `joined` puts together with those on the others.

    Args:
        number: of the piece.
        counts: what is in it.
        wrong_if_exact: see `Survey`.
        wrong_if_unknown: see `Survey`.
        suspects: keys, from when to when the windows reach that were broken, and what else
            `Suspect` tells of it.
        leaders: the first keys of each order: rank, key, quota.
        pressure: for each quota its figures, and the key that leads.
        headers: what became of the header fields.
        stated: the key of each finding among these.
        kept: requests of keys that are going to be looked at, by code, as far as there was room.
    """

    number: int
    counts: Counts
    wrong_if_exact: bool
    wrong_if_unknown: bool
    suspects: Sequence[tuple[NamedKey, tuple[int, int] | None, tuple[Any, ...]]]
    leaders: Mapping[str, Sequence[tuple[int, NamedKey, int]]]
    pressure: Sequence[tuple[Any, NamedKey | None]]
    headers: Headers | None
    stated: Sequence[NamedKey]
    kept: Mapping[int, KeyLog]


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


def survey_piece(
    pieces: Pieces, number: int, question: Question, threads: int | None = None
) -> PieceSurvey:
    """Survey one piece of a log.

    Args:
        pieces: the log.
        number: of the piece.
        question: what is asked of it.
        threads: those that look at keys at a time; None: one for each processor.

    Raises:
        LogError: the piece cannot be read, or its times are too far apart.
    """
    log, stretch = pieces.piece(number), pieces.stretch(number)
    judgement = question.judgement.within(stretch, question.tolerance)
    by_key = core.required_native("a log in pieces").ByKey.of(columns_of(log))
    if by_key is None:
        raise LogError("the log cannot be judged in pieces: its times are too far apart")
    asked = question.policy, question.tolerance, judgement
    rules = rules_of(*asked, over_admission=question.over_admission)
    rules |= {"longest_ns": (judgement.longest_ns,)}
    found = by_key.screen(rules, threads or linux.processors())
    told: Headers | None = None
    if question.headers and stretch is None:
        told = headers_of(
            log,
            question.policy,
            question.tolerance,
            known_after_ns=0 if judgement.fresh else judgement.longest_ns,
            denied_count=judgement.denied_count,
            by_key=by_key,
        )
    del by_key
    words, stated = log.words("key"), list[int]()
    if told is not None and told.findings:
        codes = {key: code for code, key in enumerate(words)}
        stated = [codes[one.key] for one in told.findings]
        told = replace(told, findings=tuple(_placed(pieces, log, one) for one in told.findings))
    counts = Counts(
        found["keys"],
        len(log),
        *(found[name] for name in ("admitted", "rejected", "unknown", "judged")),
    )
    if stretch is not None:
        first = int(stretch.from_ns is None)
        counts = counts_of(pieces.own(number), first, marked=question.marked)
        counts = replace(counts, judged=found["judged"])
        found["busiest"] = [(*of, -pieces.rows_of(number)) for *of, _ in found["busiest"]]
        _forget_wide(found, pieces.reach_ns, question.policy)
    leading = [code for order in _ORDERS for code, *_ in found[order]]
    looked_at = dict.fromkeys([*leading, *(code for code, *_ in found["suspects"])])
    pressing = [of[-1] for of in found["pressure"] if of[-1] is not None]
    named = {*looked_at, *pressing, *stated}
    keys = {code: NamedKey(digest(words[code]), code, words[code]) for code in named}
    return PieceSurvey(
        number,
        counts,
        found["wrong_if_exact"],
        found["wrong_if_unknown"],
        [(keys[code], broken, tuple(costs)) for code, broken, *costs in found["suspects"]],
        {
            order: [(rank, keys[code], quota) for code, quota, rank in found[order]]
            for order in _ORDERS
        },
        [(of, None if of[-1] is None else keys[of[-1]]) for of in found["pressure"]],
        told,
        [keys[code] for code in stated],
        _kept(pieces, number, [*looked_at], marked=question.marked),
    )


def _forget_wide(found: dict[str, Any], reach_ns: int, policy: Policy) -> None:
    """Leave out how close admissions came that lie farther apart than a stretch shows all of."""
    found["pressure"] = [
        (*of[:3], None if of[3] is not None and of[3] > reach_ns else of[3], *of[4:])
        for of in found["pressure"]
    ]
    windows = [Stair.of(quota).span_ns(1) for quota in policy.quotas]
    found["closest"] = [of for of in found["closest"] if windows[of[1]] + of[2] <= reach_ns]


def _placed(pieces: Pieces, log: EventLog, one: FalseStatement) -> FalseStatement:
    """A finding on a piece, whose rows get the numbers that they have in the whole log."""
    if pieces.numbered:
        return one
    said, seen = log.column(WHERE, [one.said, one.seen])
    return replace(one, said=said, seen=seen)


def _kept(pieces: Pieces, number: int, codes: Sequence[int], *, marked: bool) -> dict[int, KeyLog]:
    """The requests of those of these keys that have room for their rows."""
    log, native = pieces.piece(number), core.required_native("a log in pieces")
    room, kept = _KEPT_ROWS // len(pieces.files), dict[int, KeyLog]()
    found = native.rows_of(log.stored("key"), len(log), codes)
    for code, rows in zip(codes, (memoryview(one).cast("q") for one in found), strict=True):
        if len(rows) <= room:
            room -= len(rows)
            (key,) = observe(log, rows, marked=marked)
            kept[code] = _named(pieces, number, key)
    return kept


def _named(pieces: Pieces, number: int, key: KeyLog) -> KeyLog:
    """The requests of a key of a piece, their rows named as those of all pieces are."""
    name = partial(pieces.name_of, number)
    return replace(
        key,
        stretch=pieces.stretch(number),
        admitted_rows=list(map(name, key.admitted_rows)),
        rejected_rows=list(map(name, key.rejected_rows)),
        unknown_rows=list(map(name, key.unknown_rows)),
    )


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
        return _named(self.pieces, number, rows.key_log(code, within))


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
        for order in _ORDERS
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
    pressed = first_of_each(*([key.key for *_, key in leaders[order]] for order in _ORDERS))
    where = {
        key.key: (number, key.code)
        for order in reversed(_ORDERS)
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
