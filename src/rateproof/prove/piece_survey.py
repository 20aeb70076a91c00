"""The survey of one piece of a log, wherever that is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from rateproof import core, linux
from rateproof.clock import Tolerance
from rateproof.errors import LogError
from rateproof.events import REJECTED, UNKNOWN, EventLog
from rateproof.events.judged import answers, columns_of
from rateproof.events.pieces import WHERE, Pieces
from rateproof.policy import Policy
from rateproof.prove.headers import FalseStatement, Headers, headers_of
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
from rateproof.prove.screen import rules_of
from rateproof.prove.wrong_rejection.rules import Judgement, horizon_ns

_KEPT_ROWS = 200_000
ORDERS = ("densest", "closest", "busiest")


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
    leading = [code for order in ORDERS for code, *_ in found[order]]
    looked_at = dict.fromkeys([*leading, *(code for code, *_ in found["suspects"])])
    pressing = [of[-1] for of in found["pressure"] if of[-1] is not None]
    told_of = {*looked_at, *pressing, *stated}
    keys = {code: NamedKey(digest(words[code]), code, words[code]) for code in told_of}
    return PieceSurvey(
        number,
        counts,
        found["wrong_if_exact"],
        found["wrong_if_unknown"],
        [(keys[code], broken, tuple(costs)) for code, broken, *costs in found["suspects"]],
        {
            order: [(rank, keys[code], quota) for code, quota, rank in found[order]]
            for order in ORDERS
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
            kept[code] = named(pieces, number, key)
    return kept


def named(pieces: Pieces, number: int, key: KeyLog) -> KeyLog:
    """The requests of a key of a piece, their rows named as those of all pieces are."""
    name = partial(pieces.name_of, number)
    return replace(
        key,
        stretch=pieces.stretch(number),
        admitted_rows=list(map(name, key.admitted_rows)),
        rejected_rows=list(map(name, key.rejected_rows)),
        unknown_rows=list(map(name, key.unknown_rows)),
    )
