"""Header honesty: what a limiter said in Retry-After and RateLimit, against what then happened."""

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
from rateproof.prove.columns import columns_of
from rateproof.prove.headers.promises import RULES, Answer, Broken, Promises, Terms, broken_promises
from rateproof.prove.observed import KeyLog, observe
from rateproof.prove.tolerance import Tolerance
from rateproof.prove.wording import key_to_json, readable_key, seconds

__all__ = ["MOST_FINDINGS", "Finding", "Headers", "all_headers", "headers_of"]

MOST_FINDINGS: Final = 16
"""Findings that are told of; the figures say of how many."""

_HARD_RESET = {"fixed-window", "first-hit-window"}
_Found = tuple[Sequence[int], int, Sequence[Broken]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement of the limiter that did not come true.

    Args:
        rule: a name from `promises.RULES`.
        key: the client whom it was told.
        run: number of the run.
        said: number of the request whose answer says it; see `Witness.number`.
        seen: number of the request whose answer gives it the lie.
        value: what was said: seconds to wait, or how many remain.
        after_ns: from when the statement may have been made (`remaining-…`, `…-too-long`)
            or had arrived (`…-too-short`) to the sending or answer that belies it.
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
    findings: tuple[Finding, ...]
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
        tested = sum(self.judged)
        what = "statement that was" if tested == 1 else "statements that were"
        were = "was" if 1 in (tested, self.broken) else "were"
        assumed = ""
        if self.broken and self.assumed:
            assumed = ", if no request before the log took longer than any in it"
        return f"headers: {self.broken} of {tested} {what} put to the test {were} false{assumed}"

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
    """What became of every statement in a log.

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
    hard_reset = all(quota.algorithm in _HARD_RESET for quota in policy.quotas)
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
                Answer(
                    sent_ns, received_ns, admitted, row,
                    _ns(retry_after_s), remaining, _ns(reset_s),
                )
            )  # fmt: skip
    for row, (sent_ns, _) in zip(key.unknown_rows, key.unknown, strict=True):
        answers.append(Answer(sent_ns, None, None, row))
    known_ns = None
    if known_after_ns is None:
        known_ns = max(answer.sent_ns for answer in answers) + 1
    elif known_after_ns:
        known_ns = key.first_sent_ns + known_after_ns
    return broken_promises(answers, terms, known_ns)


def _ns(said_s: float | None) -> int | None:
    """Seconds of a header in ns, cut down to what no log lasts."""
    return None if said_s is None else round(min(max(said_s, 0.0) * 1e9, 2.0**61))


def _finding(log: EventLog, broken: Broken) -> Finding:
    said, seen = log[broken.said], log[broken.seen]
    value, after_ns = said.retry_after_s, 0
    if broken.rule == 0:
        after_ns = seen.sent_ns - (said.received_ns or said.sent_ns)
    elif broken.rule == 1:
        after_ns = (seen.received_ns or seen.sent_ns) - said.sent_ns
    else:
        value = said.ratelimit_remaining
    numbered = said.sequence != seen.sequence
    return Finding(
        RULES[broken.rule],
        said.key,
        said.run,
        said.sequence if numbered else broken.said,
        seen.sequence if numbered else broken.seen,
        float(value or 0),
        after_ns,
    )
