"""The survey of a log in pieces, which are looked at one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rateproof import core, linux
from rateproof.clock import Tolerance
from rateproof.errors import LogError
from rateproof.events import REJECTED, UNKNOWN, EventLog
from rateproof.events.judged import answers, columns_of
from rateproof.events.pieces import Pieces
from rateproof.policy import Policy
from rateproof.prove.headers import MOST_FINDINGS, FalseStatement, Headers, all_headers, headers_of
from rateproof.prove.keys import Counts, KeyLog, marks_rejections, observe
from rateproof.prove.power.pressure import (
    MOST_CALLS,
    ClosestCall,
    Pressure,
    first_of_each,
    unpressed,
)
from rateproof.prove.screen import Rows, Survey, Suspect, rules_of
from rateproof.prove.wrong_rejection.rules import Judgement

_KEPT_ROWS = 200_000
_UNMARKED = 503
_ORDERS = ("densest", "closest", "busiest")


def _longest_of(log: EventLog, *, marked: bool) -> int | None:
    """The longest way from sending to answer in a whole log; None where an answer was lost."""
    longest = 0
    for of, found in answers(log).items():
        bare = marked and of.outcome == REJECTED and of.status == _UNMARKED and not of.marked
        if of.outcome == UNKNOWN or bare or not of.answered:
            return None
        longest = max(longest, found.longest_ns or 0)
    return longest


@dataclass(slots=True)
class _Keys:
    """The requests of some keys of a piece, which is read again where they are not kept."""

    pieces: Pieces
    number: int
    marked: bool
    kept: dict[int, KeyLog] = field(default_factory=dict)

    def keep(self, codes: Sequence[int], room: int) -> int:
        """Keep those of these keys that have room for their rows; the room that is left."""
        log, native = self.pieces.piece(self.number), core.required_native("a log in pieces")
        for code, found in zip(
            codes, native.rows_of(log.stored("key"), len(log), codes), strict=True
        ):
            rows = memoryview(found).cast("q")
            if len(rows) <= room:
                room -= len(rows)
                (key,) = observe(log, rows, marked=self.marked)
                self.kept[code] = self._named(key)
        return room

    def key_log(self, code: int, within: tuple[int, int] | None = None) -> KeyLog:
        """The requests of the key with this code, their rows named as those of the pieces are."""
        if within is None and code in self.kept:
            return self.kept[code]
        rows = Rows(self.pieces.piece(self.number), [code], marked=self.marked)
        return self._named(rows.key_log(code, within))

    def _named(self, key: KeyLog) -> KeyLog:
        name = partial(self.pieces.name_of, self.number)
        return replace(
            key,
            admitted_rows=list(map(name, key.admitted_rows)),
            rejected_rows=list(map(name, key.rejected_rows)),
            unknown_rows=list(map(name, key.unknown_rows)),
        )


def survey_of_pieces(
    pieces: Pieces,
    policy: Policy,
    tolerance: Tolerance,
    judgement: Judgement,
    *,
    over_admission: bool,
    headers: bool,
) -> Survey:
    """Survey a log in pieces, one after the other, the keys of each on all processors.

    What is first among equals is what appeared first in the whole log, so the survey is the same
    in any number of pieces.

    Args:
        pieces: the log.
        policy: what was promised.
        tolerance: what clocks may disagree on.
        judgement: what concerns all keys.
        over_admission: whether to look for it.
        headers: whether to look at header fields too.

    Raises:
        LogError: a piece cannot be read.
    """
    native = core.required_native("a log in pieces")
    marked = marks_rejections(pieces)
    pieces.of_whole["marked_rejections"] = marked
    longest_ns = _longest_of(pieces, marked=marked)
    rules = rules_of(policy, tolerance, judgement, over_admission=over_admission)
    rules |= {"longest_ns": (longest_ns,)}
    counts, wrong_if_exact, wrong_if_unknown = Counts(), False, False
    suspects: list[Suspect] = []
    leaders: dict[str, list[tuple[int, int, int, _Keys, int, bytes]]] = {
        "closest": [],
        "densest": [],
        "busiest": [],
    }
    figures: list[list[tuple[int, Any, bytes]]] = [[] for _ in policy.quotas]
    statements, room = _Statements(pieces), _KEPT_ROWS
    for number, log in pieces.each():
        by_key = native.ByKey.of(columns_of(log))
        if by_key is None:
            raise LogError("the log cannot be judged in pieces: its times are too far apart")
        found = by_key.screen(rules, linux.processors())
        if headers:
            statements.add(
                number,
                headers_of(
                    log,
                    policy,
                    tolerance,
                    known_after_ns=0 if judgement.fresh else longest_ns,
                    denied_count=judgement.denied_count,
                    by_key=by_key,
                ),
            )
        del by_key
        counts += Counts(
            found["keys"],
            len(log),
            *(found[name] for name in ("admitted", "rejected", "unknown", "judged")),
        )
        wrong_if_exact |= found["wrong_if_exact"]
        wrong_if_unknown |= found["wrong_if_unknown"]
        named = {code for order in leaders for code, *_ in found[order]}
        named |= {code for code, *_ in found["suspects"]}
        named |= {of[-1] for of in found["pressure"] if of[-1] is not None}
        place, words = pieces.places(number, sorted(named)), log.words("key")
        keys = _Keys(pieces, number, marked)
        for code, broken, *costs in found["suspects"]:
            load = partial(keys.key_log, code)
            narrow = None if broken is None else partial(load, broken)
            suspects.append(replace(Suspect(load, narrow, *costs), number=place[code]))
        for order, known in leaders.items():
            known += [
                (rank, place[code], quota, keys, code, words[code])
                for code, quota, rank in found[order]
            ]
            known.sort(key=lambda leader: leader[:3])
            del known[MOST_CALLS:]
        lead = (code for of in leaders.values() for *_, own, code, _ in of if own is keys)
        asked = dict.fromkeys([*lead, *(code for code, *_ in found["suspects"])])
        room = keys.keep([*asked], room)
        for quota, of in enumerate(found["pressure"]):
            if of[-1] is not None:
                figures[quota].append((place[of[-1]], of, words[of[-1]]))
    pressed = first_of_each(
        *([(keys.number, code) for *_, keys, code, _ in leaders[order]] for order in _ORDERS)
    )
    loads = {
        (keys.number, code): partial(keys.key_log, code)
        for known in leaders.values()
        for *_, keys, code, _ in known
    }
    return Survey(
        counts=counts,
        pressure=tuple(map(_hardest, unpressed(policy), figures)),
        longest_ns=longest_ns,
        suspects=suspects,
        wrong_if_exact=wrong_if_exact,
        wrong_if_unknown=wrong_if_unknown,
        closest=tuple(
            ClosestCall.of(word, policy, quota, margin_ns)
            for margin_ns, _, quota, *_, word in leaders["closest"]
        ),
        pressed=[loads[one] for one in pressed],
        headers=statements.headers(),
    )


@dataclass(slots=True)
class _Statements:
    """The statements of header fields, piece by piece."""

    pieces: Pieces
    several: list[Headers] = field(default_factory=list)
    findings: list[tuple[int, FalseStatement]] = field(default_factory=list)

    def add(self, number: int, told: Headers | None) -> None:
        """Add what was found of a piece: rows get the numbers that they have in the whole."""
        if told is None:
            return
        piece = self.pieces.piece(number)
        self.several.append(told)
        codes = {key: code for code, key in enumerate(piece.words("key"))} if told.findings else {}
        place = self.pieces.places(number, sorted({codes[one.key] for one in told.findings}))
        for one in told.findings:
            numbered = one
            if not self.pieces.numbered:
                said, seen = piece.column("intended_ns", [one.said, one.seen])
                numbered = replace(one, said=said, seen=seen)
            self.findings.append((place[codes[one.key]], numbered))
        self.findings.sort(key=lambda one: one[0])
        del self.findings[MOST_FINDINGS:]

    def headers(self) -> Headers | None:
        """As of the whole: findings in the order in which their keys appear."""
        total = all_headers(self.several)
        return total and replace(total, findings=tuple(one for _, one in self.findings))


def _hardest(total: Pressure, pieces: Sequence[tuple[int, Any, bytes]]) -> Pressure:
    """The most of each figure; the key is that which leads the whole."""
    if not pieces:
        return total
    tightest = min((of[3] for _, of, _ in pieces if of[3] is not None), default=None)
    lead = min(
        pieces,
        key=lambda one: (one[1][3] is None, -one[1][0] if one[1][3] is None else one[1][3], one[0]),
    )
    return replace(
        total,
        attempts=max(of[0] for _, of, _ in pieces),
        possible=max(of[1] for _, of, _ in pieces),
        provable=max(of[2] for _, of, _ in pieces),
        margin_ns=None if tightest is None else tightest - total.window_ns,
        stressed=any(of[4] for _, of, _ in pieces),
        key=lead[2],
    )
