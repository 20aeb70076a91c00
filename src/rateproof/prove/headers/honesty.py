"""Header honesty: what a limiter said in Retry-After and RateLimit, against what then happened."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from math import isnan
from typing import Any, Final

from rateproof import linux
from rateproof.clock import Tolerance
from rateproof.events import EventLog
from rateproof.events.columns import NULL
from rateproof.policy import Policy
from rateproof.prove.evidence.wording import key_to_json, readable_key, seconds
from rateproof.prove.headers.statements import RULES, Broken, Statements, Terms, Told
from rateproof.prove.keys import KeyLog, by_digest, observe

MOST_FINDINGS: Final = 16
"""Findings that are told of; the figures say of how many."""


_Found = tuple[Sequence[int], int, Sequence[Broken]]


@dataclass(frozen=True, slots=True)
class FalseStatement:
    """A statement of the limiter that did not come true.

    Args:
        rule: a name from `statements.RULES`.
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
    for key in by_digest(observe(log)):
        for rule, said, look in _of_key(key, told, terms, known_after_ns).looks():
            if look is not None:
                judged[rule] += 1
                if look[1]:
                    broken.append(Broken(rule, said.row, look[0].row))
    return judged, len(broken), broken[:MOST_FINDINGS]


def _of_key(
    key: KeyLog, told: Sequence[tuple[Any, ...]], terms: Terms, known_after_ns: int | None
) -> Statements:
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
    return Statements(answers, terms, known_ns)


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
