"""Header honesty: what a limiter said in Retry-After and RateLimit, against what then happened."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate, islice
from math import isnan
from typing import Any, Final, NamedTuple

from rateproof import linux
from rateproof.clock import Tolerance
from rateproof.events import EventLog
from rateproof.events.columns import NULL
from rateproof.policy import Policy
from rateproof.prove.evidence.wording import key_to_json, readable_key, seconds
from rateproof.prove.keys import KeyLog, observe

__all__ = ["MOST_FINDINGS", "RULES", "FalseStatement", "Headers", "all_headers", "headers_of"]

MOST_FINDINGS: Final = 16
"""Findings that are told of; the figures say of how many."""


RULES: Final = (
    "retry-after-too-short",
    "retry-after-too-long",
    "remaining-too-high",
    "remaining-too-low",
)
"""Faults of a statement, in the order in which they are looked for."""


_SECOND_NS = 1_000_000_000


class Told(NamedTuple):
    """A request of a key, and what its answer says; None where a field is missing."""

    sent_ns: int
    received_ns: int  # as it was sent, for one of unknown outcome
    admitted: bool | None  # None for one of unknown outcome
    row: int
    retry_after_ns: int | None = None
    remaining: int | None = None
    reset_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms by which statements are read.

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
    """A statement that did not come true."""

    rule: int  # index of `RULES`
    said: int  # row of the answer that says it
    seen: int  # row of the answer that contradicts it


_Look = tuple[Told, bool] | None
"""The answer that put a statement to the test, and whether it contradicts it."""


class _Key:
    """The requests of a key by sending time, and what may have used up the quota.

    `known_ns`: by when all requests that are not in the log had been decided; None: there were none.
    """

    def __init__(self, answers: Sequence[Told], terms: Terms, known_ns: int | None) -> None:
        self._terms = terms
        self._known_ns = known_ns
        self._all = sorted(answers, key=lambda told: (told[0], told.admitted is None, *told[1:4:2]))
        self._starts = [answer.sent_ns for answer in self._all]
        used = [answer for answer in answers if self._uses(answer)]
        self._used_starts = sorted(answer.sent_ns for answer in used)
        self._used_ends = sorted(told.received_ns for told in used if told.admitted is not None)
        self._admitted = _Later([answer for answer in self._all if answer.admitted is True])
        self._rejected = _Later([answer for answer in self._all if answer.admitted is False])
        self._admitted_ends = sorted(answer.received_ns for answer in self._admitted.answers)

    def _uses(self, answer: Told) -> bool:
        return answer.admitted is not False or self._terms.denied_count

    def looks(self) -> Iterator[tuple[int, Told, _Look]]:
        """Every statement by rule, in the order in which they were sent for."""
        rules = (self._too_short, self._too_long, self._too_high, self._too_low)
        for answer in self._all:
            if answer.admitted is not None:
                yield from ((rule, answer, look(answer)) for rule, look in enumerate(rules))

    def _since(self, answer: Told, until_ns: int) -> int:
        """Return how many others may have used up the quota after the answer was decided."""
        count = bisect_right(self._used_starts, until_ns) - bisect_left(
            self._used_ends, answer.sent_ns
        )
        return count - self._uses(answer)

    def _complete(self, answer: Told) -> bool:
        """Tell whether no request that the log lacks can have been decided after this one."""
        return self._known_ns is None or answer.sent_ns >= self._known_ns

    def _too_short(self, said: Told) -> _Look:
        """It waited, nothing else can have passed meanwhile, and was rejected again."""
        if said.admitted is not False or said.retry_after_ns is None or not self._complete(said):
            return None
        waited_ns = said.received_ns + self._terms.tolerance.at_most_ns(said.retry_after_ns)
        at = bisect_left(self._starts, waited_ns)
        if at == len(self._all):
            return None
        seen = self._all[at]
        if seen.admitted is None or self._since(said, seen.received_ns) > self._uses(seen):
            return None
        return seen, seen.admitted is False

    def _too_long(self, said: Told) -> _Look:
        """Another was admitted more than a second before the wait was over."""
        if said.admitted is not False or said.retry_after_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.retry_after_ns)
        for later, broken in ((self._admitted, True), (self._rejected, False)):
            seen = later.first_after(said.received_ns)
            if seen is not None and seen.received_ns < over_ns:
                return seen, broken
        return None

    def _too_high(self, said: Told) -> _Look:
        """Another was rejected although fewer than remained can have passed."""
        if not said.remaining or not self._complete(said):
            return None
        denied = self._rejected.first_after(said.received_ns)
        if denied is not None:
            used = self._since(said, denied.received_ns) - self._uses(denied)
            if used < said.remaining:
                return denied, True
        passed = self._admitted.first_after(said.received_ns)
        return None if passed is None else (passed, False)

    def _too_low(self, said: Told) -> _Look:
        """More than remained were admitted before the window can have ended."""
        if not self._terms.hard_reset or said.remaining is None or said.reset_ns is None:
            return None
        over_ns = said.sent_ns + self._terms.at_least_ns(said.reset_ns)
        before = bisect_right(self._admitted.starts, said.received_ns)
        passed = bisect_left(self._admitted_ends, over_ns) - before
        first = self._admitted.first_after(said.received_ns)
        return None if first is None or passed <= 0 else (first, passed > said.remaining)


class _Later:
    """Answers by sending time: of those sent after an instant, which was received first?"""

    def __init__(self, answers: Sequence[Told]) -> None:
        self.answers = answers
        self.starts = [answer.sent_ns for answer in answers]
        self._first = list(accumulate(reversed(answers), _first))[::-1]

    def first_after(self, instant_ns: int) -> Told | None:
        at = bisect_right(self.starts, instant_ns)
        return self._first[at] if at < len(self._first) else None


def _first(later: Told, one: Told) -> Told:
    return later if later.received_ns < one.received_ns else one


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
    """The statements that answers carried, and those that came true.

    Args:
        judged: statements that later answers could check, by rule.
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
    by_key: Any = None,
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
        by_key: the log as the native core has it, which then looks.

    Returns:
        None where no answer carries the fields.
    """
    if not len(log) or all(
        _missing(log, name) for name in ("retry_after_s", "ratelimit_remaining")
    ):
        return None
    hard_reset = all(quota.record.hard_reset for quota in policy.quotas)
    terms = Terms(tolerance, denied_count, hard_reset)
    looked = _by_reference if by_key is None else partial(_natively, by_key)
    judged, count, broken = looked(log, terms, known_after_ns)
    findings = tuple(_finding(log, one) for one in broken)
    return Headers(tuple(judged), count, findings, assumed=known_after_ns != 0)


def _missing(log: EventLog, name: str) -> bool:
    same = log.same(name)
    return same == NULL or (isinstance(same, float) and isnan(same))


def _natively(by_key: Any, _: EventLog, terms: Terms, known_after_ns: int | None) -> _Found:
    asked = {
        "ppm": terms.tolerance.ppm,
        "granularity_ns": terms.tolerance.granularity_ns,
        "denied_count": terms.denied_count,
        "hard_reset": terms.hard_reset,
        "known_after_ns": known_after_ns,
        "most": MOST_FINDINGS,
    }
    judged, count, broken = by_key.broken_promises(asked, linux.processors())
    return judged, count, [Broken(*one) for one in broken]


def _by_reference(log: EventLog, terms: Terms, known_after_ns: int | None) -> _Found:
    names = ("retry_after_s", "ratelimit_remaining", "ratelimit_reset_s")
    told = list(zip(*map(log.column, names), strict=True))
    judged = [0] * len(RULES)
    broken: list[Broken] = []
    for key in observe(log):
        for rule, said, look in _of_key(key, told, terms, known_after_ns).looks():
            if look is not None:
                judged[rule] += 1
                if look[1]:
                    broken.append(Broken(rule, said.row, look[0].row))
    return judged, len(broken), broken[:MOST_FINDINGS]


def _of_key(
    key: KeyLog, told: Sequence[tuple[Any, ...]], terms: Terms, known_after_ns: int | None
) -> _Key:
    answers = []
    for rows, jobs, admitted in (
        (key.admitted_rows, key.admitted, True),
        (key.rejected_rows, key.rejected, False),
    ):
        for row, job in zip(rows, jobs, strict=True):
            retry_after_s, remaining, reset_s = told[row]
            answers.append(Told(*job, admitted, row, _ns(retry_after_s), remaining, _ns(reset_s)))
    for row, (sent_ns, _) in zip(key.unknown_rows, key.unknown, strict=True):
        answers.append(Told(sent_ns, sent_ns, None, row))
    known_ns = None
    if known_after_ns is None:
        known_ns = max(answer.sent_ns for answer in answers) + 1
    elif known_after_ns:
        known_ns = key.first_sent_ns + known_after_ns
    return _Key(answers, terms, known_ns)


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
