"""Header honesty: what a limiter said in Retry-After and RateLimit, against what then happened."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import isnan
from typing import Any, Final

from rateproof import core
from rateproof.events import EventLog
from rateproof.events.columns import NULL
from rateproof.policy import Policy
from rateproof.prove.evidence.wording import key_to_json, readable_key, seconds
from rateproof.prove.keys import KeyLog, columns_of, observe
from rateproof.prove.terms import Tolerance

__all__ = [
    "MOST_FINDINGS",
    "RULES",
    "Broken",
    "FalseStatement",
    "Headers",
    "Promises",
    "Terms",
    "Told",
    "all_headers",
    "broken_promises",
    "headers_of",
]

MOST_FINDINGS: Final = 16
"""Findings that are told of; the figures say of how many."""


RULES: Final = (
    "retry-after-too-short",
    "retry-after-too-long",
    "remaining-too-high",
    "remaining-too-low",
)
"""What is wrong with a statement, in the order in which they are looked for."""


_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """A request of a key, and what its answer says.

    Args:
        sent_ns: see `rateproof.events.Event`.
        received_ns: None for a request of unknown outcome.
        admitted: whether it passed; None for one of unknown outcome.
        row: its place in the log.
        retry_after_ns: None where the field is missing, as in the others.
        remaining: how many more may pass.
        reset_ns: until the whole quota is free.
    """

    sent_ns: int
    received_ns: int | None
    admitted: bool | None
    row: int
    retry_after_ns: int | None = None
    remaining: int | None = None
    reset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How statements are read.

    Args:
        tolerance: what clocks may disagree on.
        denied_count: whether denied requests use up the quota too.
        hard_reset: whether nothing is free before the whole quota is, as in
            fixed windows; else more than remain may pass before the reset.
    """

    tolerance: Tolerance
    denied_count: bool = False
    hard_reset: bool = False

    def at_least_ns(self, said_ns: int) -> int:
        """Return how long that many rounded-up seconds of the limiter's clock last at least."""
        short_ns = max(0, said_ns - _SECOND_NS)
        lasts_ns = short_ns * (1_000_000 - self.tolerance.ppm) // 1_000_000
        return max(0, lasts_ns - self.tolerance.granularity_ns)


@dataclass(frozen=True, slots=True)
class Broken:
    """A statement that did not come true.

    Args:
        rule: which of `RULES`, by index.
        said: row of the answer that says it.
        seen: row of the answer that contradicts it.
    """

    rule: int
    said: int
    seen: int


@dataclass(frozen=True, slots=True)
class Promises:
    """What was found of one key.

    Args:
        judged: statements that later answers put to the test, by rule.
        broken: those of them that did not come true.
    """

    judged: tuple[int, int, int, int]
    broken: tuple[Broken, ...]


def broken_promises(answers: Sequence[Told], terms: Terms, known_ns: int | None = None) -> Promises:
    """Hold every statement of a key against what then happened.

    Args:
        answers: all requests of the key.
        terms: how to read them.
        known_ns: by when all requests that are not in the log had been decided;
            None if there were none.
    """
    return _Key(answers, terms, known_ns).promises()


class _Key:
    """The requests of a key by sending time, and what may have used up the quota."""

    def __init__(self, answers: Sequence[Told], terms: Terms, known_ns: int | None) -> None:
        self._terms = terms
        self._known_ns = known_ns
        self._all = sorted(answers, key=_by_time)
        self._starts = [answer.sent_ns for answer in self._all]
        used = [answer for answer in answers if self._uses(answer)]
        self._used_starts = sorted(answer.sent_ns for answer in used)
        ends = (answer.received_ns for answer in used)
        self._used_ends = sorted(end for end in ends if end is not None)
        self._admitted = [answer for answer in self._all if answer.admitted is True]
        self._admitted_starts = [answer.sent_ns for answer in self._admitted]
        self._admitted_ends = sorted(_end(answer) for answer in self._admitted)
        self._rejected = [answer for answer in self._all if answer.admitted is False]
        self._rejected_starts = [answer.sent_ns for answer in self._rejected]
        # From each on, the one that was answered first: nothing later is judged by another.
        self._first_admitted = _earliest_from(self._admitted)
        self._first_rejected = _earliest_from(self._rejected)

    def _uses(self, answer: Told) -> bool:
        return answer.admitted is not False or self._terms.denied_count

    def promises(self) -> Promises:
        """Every statement, in the order in which they were sent for."""
        judged = [0] * len(RULES)
        broken: list[Broken] = []
        rules = (self._too_short, self._too_long, self._too_high, self._too_low)
        for answer in self._all:
            if answer.received_ns is None:
                continue
            for rule, look in enumerate(rules):
                seen = look(answer, answer.received_ns)
                if seen is not None:
                    judged[rule] += 1
                    if seen.broken:
                        broken.append(Broken(rule, answer.row, seen.answer.row))
        return Promises((judged[0], judged[1], judged[2], judged[3]), tuple(broken))

    def _since(self, answer: Told, until_ns: int) -> int:
        """Return how many others may have used up the quota after the answer was decided."""
        count = bisect_right(self._used_starts, until_ns) - bisect_left(
            self._used_ends, answer.sent_ns
        )
        return count - self._uses(answer)

    def _complete(self, answer: Told) -> bool:
        """Tell whether no request that the log lacks can have been decided after this one."""
        return self._known_ns is None or answer.sent_ns >= self._known_ns

    def _too_short(self, said: Told, received_ns: int) -> "_Seen | None":
        """It waited, nothing else can have passed meanwhile, and was rejected again."""
        if said.admitted is not False or said.retry_after_ns is None or not self._complete(said):
            return None
        waited_ns = received_ns + self._terms.tolerance.at_most_ns(said.retry_after_ns)
        at = bisect_left(self._starts, waited_ns)
        if at == len(self._all):
            return None
        seen = self._all[at]
        if seen.received_ns is None:
            return None
        if self._since(said, seen.received_ns) > self._uses(seen):
            return None
        return _Seen(seen, broken=seen.admitted is False)

    def _too_long(self, said: Told, received_ns: int) -> "_Seen | None":
        """Another was admitted more than a second before the wait was over."""
        if said.admitted is not False or said.retry_after_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.retry_after_ns)
        passed = self._next(received_ns, self._admitted_starts, self._first_admitted)
        denied = self._next(received_ns, self._rejected_starts, self._first_rejected)
        if passed is not None and _end(passed) < over_ns:
            return _Seen(passed, broken=True)
        if denied is not None and _end(denied) < over_ns:
            return _Seen(denied, broken=False)
        return None

    def _too_high(self, said: Told, received_ns: int) -> "_Seen | None":
        """Another was rejected although fewer than remained can have passed."""
        if not said.remaining or not self._complete(said):
            return None
        denied = self._next(received_ns, self._rejected_starts, self._first_rejected)
        if denied is not None:
            used = self._since(said, _end(denied)) - self._uses(denied)
            if used < said.remaining:
                return _Seen(denied, broken=True)
        passed = self._next(received_ns, self._admitted_starts, self._first_admitted)
        return None if passed is None else _Seen(passed, broken=False)

    def _too_low(self, said: Told, received_ns: int) -> "_Seen | None":
        """More than remained were admitted before the window can have ended."""
        if not self._terms.hard_reset or said.remaining is None or said.reset_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.reset_ns)
        before = bisect_right(self._admitted_starts, received_ns)
        passed = bisect_left(self._admitted_ends, over_ns) - before
        if passed <= 0:
            return None
        first = self._first_admitted[before]
        return _Seen(self._admitted[first], broken=passed > said.remaining)

    def _next(self, after_ns: int, starts: Sequence[int], first: Sequence[int]) -> Told | None:
        """Of those sent later, the one that was answered first."""
        at = bisect_right(starts, after_ns)
        if at == len(starts):
            return None
        kind = self._admitted if starts is self._admitted_starts else self._rejected
        return kind[first[at]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The answer that put a statement to the test."""

    answer: Told
    broken: bool


def _by_time(answer: Told) -> tuple[int, bool, int, int]:
    return answer.sent_ns, answer.received_ns is None, answer.received_ns or 0, answer.row


def _end(answer: Told) -> int:
    return answer.sent_ns if answer.received_ns is None else answer.received_ns


def _earliest_from(answers: Sequence[Told]) -> list[int]:
    """For each place the place, from it on, of the answer that was received first."""
    earliest = list(range(len(answers)))
    for at in range(len(answers) - 2, -1, -1):
        later = earliest[at + 1]
        if _end(answers[later]) < _end(answers[at]):
            earliest[at] = later
    return earliest


_Found = tuple[Sequence[int], int, Sequence[Broken]]


@dataclass(frozen=True, slots=True)
class FalseStatement:
    """A statement of the limiter that did not come true.

    Args:
        rule: a name from `promises.RULES`.
        key: the client whom it was told.
        run: number of the run.
        said: number of the request whose answer says it; see `Witness.number`.
        seen: number of the request whose answer contradicts it.
        value: what was said: seconds to wait, or how many remain.
        after_ns: from when the statement may have been made (`remaining-…`, `…-too-long`)
            or had arrived (`…-too-short`) to the sending or answer that contradicts it.
    """

    rule: str
    key: bytes
    run: int
    said: int
    seen: int
    value: float
    after_ns: int

    def sentence(self) -> str:
        """The finding in one sentence."""
        where = f"key {readable_key(self.key)}: the answer to request #{self.said} said"
        after = seconds(self.after_ns, up=self.rule == RULES[1])
        remaining = f"{self.value:g} {'remains' if self.value == 1 else 'remain'}"
        told = {
            RULES[0]: f"Retry-After: {self.value:g}, but #{self.seen} was rejected, sent {after} "
            "after it, with nothing admitted in between",
            RULES[1]: f"Retry-After: {self.value:g}, but #{self.seen} was admitted {after} after "
            "it was asked for",
            RULES[2]: f"{remaining}, but #{self.seen} was rejected before as many can have been "
            "admitted",
            RULES[3]: f"{remaining}, but from #{self.seen} on more were admitted before its reset",
        }
        return f"{where} {told[self.rule]}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        plain = asdict(self) | {"sentence": self.sentence()}
        return plain | key_to_json(self.key)


@dataclass(frozen=True, slots=True)
class Headers:
    """What became of the statements that answers carried.

    Args:
        judged: statements that later answers put to the test, by rule.
        broken: how many of them did not come true.
        findings: at most `MOST_FINDINGS` of those.
        assumed: whether they rest on this, that no request before the log took
            longer than any in it; where the log does not say that its keys were fresh.
    """

    judged: tuple[int, ...]
    broken: int
    findings: tuple[FalseStatement, ...]
    assumed: bool = False

    def describe(self) -> list[str]:
        """The figures, and a finding by each rule that was broken; nothing where nothing was tested."""
        if not sum(self.judged):
            return []
        by_rule = Counter(finding.rule for finding in self.findings)
        first = {finding.rule: finding for finding in reversed(self.findings)}
        least = "at least " if self.broken > len(self.findings) else ""
        return [
            self.sentence(),
            *(
                first[rule].sentence()
                + (f" ({least}{count - 1} more like it)" if count > 1 else "")
                for rule, count in by_rule.items()
            ),
        ]

    def sentence(self) -> str:
        """The figures in one line."""
        found = f"{self.broken} false" if self.broken else "all true"
        assumed = ""
        if self.broken and self.assumed:
            assumed = ", if no request before the log took longer than any in it"
        return f"headers: {sum(self.judged)} checked, {found}{assumed}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "judged": dict(zip(RULES, self.judged, strict=True)),
            "broken": self.broken,
            "assumed": self.assumed,
            "findings": [finding.to_json() for finding in self.findings],
        }


def all_headers(several: Iterable[Headers | None]) -> Headers | None:
    """The sum over runs; None if no run had any."""
    found = [headers for headers in several if headers is not None]
    if not found:
        return None
    findings = (finding for headers in found for finding in headers.findings)
    return Headers(
        tuple(map(sum, zip(*(headers.judged for headers in found), strict=True))),
        sum(headers.broken for headers in found),
        tuple(islice(findings, MOST_FINDINGS)),
        any(headers.assumed for headers in found),
    )


def headers_of(
    log: EventLog,
    policy: Policy,
    tolerance: Tolerance,
    *,
    known_after_ns: int | None,
    denied_count: bool = False,
) -> Headers | None:
    """Return what became of every statement in a log.

    Args:
        log: what clients saw, none of it missing.
        policy: what was promised. Only where all of it is fixed windows does
            `remaining` hold for more than the instant.
        tolerance: what clocks may disagree on.
        known_after_ns: how long after the first request of a key all those that
            are not in the log had been decided; 0 where there are none, None
            where it is not known.
        denied_count: whether denied requests use up the quota too.

    Returns:
        None where no answer carries the fields.
    """
    if not len(log) or all(
        _missing(log, name) for name in ("retry_after_s", "ratelimit_remaining")
    ):
        return None
    hard_reset = all(quota.record.hard_reset for quota in policy.quotas)
    terms = Terms(tolerance, denied_count, hard_reset)
    found = _natively(log, terms, known_after_ns) or _by_reference(log, terms, known_after_ns)
    judged, count, broken = found
    findings = tuple(_finding(log, one) for one in broken)
    return Headers(tuple(judged), count, findings, assumed=known_after_ns != 0)


def _missing(log: EventLog, name: str) -> bool:
    same = log.same(name)
    return same == NULL or (isinstance(same, float) and isnan(same))


def _natively(log: EventLog, terms: Terms, known_after_ns: int | None) -> _Found | None:
    native = core.native()
    if native is None:
        return None
    asked = {
        "ppm": terms.tolerance.ppm,
        "granularity_ns": terms.tolerance.granularity_ns,
        "denied_count": terms.denied_count,
        "hard_reset": terms.hard_reset,
        "known_after_ns": known_after_ns,
        "most": MOST_FINDINGS,
    }
    found = native.broken_promises(columns_of(log), asked)
    if found is None:
        return None
    judged, count, broken = found
    return judged, count, [Broken(*one) for one in broken]


def _by_reference(log: EventLog, terms: Terms, known_after_ns: int | None) -> _Found:
    names = ("retry_after_s", "ratelimit_remaining", "ratelimit_reset_s")
    told = list(zip(*map(log.column, names), strict=True))
    judged = [0] * len(RULES)
    broken: list[Broken] = []
    for key in observe(log).values():
        promises = _of_key(key, told, terms, known_after_ns)
        judged = [one + other for one, other in zip(judged, promises.judged, strict=True)]
        broken += promises.broken
    return judged, len(broken), broken[:MOST_FINDINGS]


def _of_key(
    key: KeyLog, told: Sequence[tuple[Any, ...]], terms: Terms, known_after_ns: int | None
) -> Promises:
    answers = []
    for rows, jobs, admitted in (
        (key.admitted_rows, key.admitted, True),
        (key.rejected_rows, key.rejected, False),
    ):
        for row, (sent_ns, received_ns) in zip(rows, jobs, strict=True):
            retry_after_s, remaining, reset_s = told[row]
            answers.append(
                Told(
                    sent_ns, received_ns, admitted, row,
                    _ns(retry_after_s), remaining, _ns(reset_s),
                )
            )  # fmt: skip
    for row, (sent_ns, _) in zip(key.unknown_rows, key.unknown, strict=True):
        answers.append(Told(sent_ns, None, None, row))
    known_ns = None
    if known_after_ns is None:
        known_ns = max(answer.sent_ns for answer in answers) + 1
    elif known_after_ns:
        known_ns = key.first_sent_ns + known_after_ns
    return broken_promises(answers, terms, known_ns)


def _ns(said_s: float | None) -> int | None:
    """Seconds of a header in ns, cut down to what no log lasts."""
    return None if said_s is None else round(min(max(said_s, 0.0) * 1e9, 2.0**61))


def _finding(log: EventLog, broken: Broken) -> FalseStatement:
    said, seen = log[broken.said], log[broken.seen]
    value, after_ns = said.retry_after_s, 0
    if broken.rule == 0:
        after_ns = seen.sent_ns - (said.received_ns or said.sent_ns)
    elif broken.rule == 1:
        after_ns = (seen.received_ns or seen.sent_ns) - said.sent_ns
    else:
        value = said.ratelimit_remaining
    numbered = said.sequence != seen.sequence
    return FalseStatement(
        RULES[broken.rule],
        said.key,
        said.run,
        said.sequence if numbered else broken.said,
        seen.sequence if numbered else broken.seen,
        float(value or 0),
        after_ns,
    )
