"""Outcomes of probes of limiters whose policy is known, and what counts of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from rateproof.probe.budget import Budget, needed
from rateproof.units import SECOND_NS

__all__ = ["NAMED", "SEVERAL", "SILENT", "WRONG", "Outcome", "Tally"]

WRONG, NAMED, SEVERAL, SILENT = "WRONG", "named", "several", "silent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one probe of a simulated limiter.

    Args:
        number: of the run.
        name: of the limiter.
        limit: its limit.
        window_ns: its window.
        known: its family is in the probe's list.
        verdict: WRONG, NAMED, SEVERAL counters, or SILENT.
        said: what was named, or is left.
        reason: the first thing that a name lacks.
        requests: how many were sent.
        took_ns: how long it took, in simulated time.
        spent_s: processor time that it took.
    """

    number: int
    name: str
    limit: int
    window_ns: int
    known: bool
    verdict: str
    said: str
    reason: str
    requests: int
    took_ns: int
    spent_s: float

    @property
    def named(self) -> bool:
        """True if a policy was named, rightly or not."""
        return self.verdict in {WRONG, NAMED}

    @property
    def wrong(self) -> bool:
        """True if the name is not what the limiter is."""
        return self.verdict == WRONG

    @property
    def small(self) -> bool:
        """True for the limits and windows that the default budget is for."""
        return self.limit <= 100 and self.window_ns <= 10 * SECOND_NS

    @property
    def allowed(self) -> Budget:
        """The requests and the time that naming it may take."""
        return needed(self.limit, self.window_ns)

    @property
    def within(self) -> bool:
        """True if it took no more than it may."""
        return self.requests <= self.allowed.requests and self.took_ns <= self.allowed.time_ns

    def __str__(self) -> str:
        known = "" if self.known else " (not in the list)"
        return (
            f"{self.number:3} {self.verdict:7} {self.name}{known} {self.limit} per "
            f"{self.window_ns / SECOND_NS:.3g}s: {self.said}{f' [{self.reason}]' if self.reason else ''}; "
            f"{self.requests} of {self.allowed.requests} requests, {self.took_ns / SECOND_NS:.0f} of "
            f"{self.allowed.time_ns / SECOND_NS:.0f} s, CPU {self.spent_s:.1f} s"
        )


@dataclass
class Tally:
    """The outcomes of all runs."""

    runs: list[Outcome] = field(default_factory=list)
    real: list[tuple[bool, bool]] = field(default_factory=list)  # named, and wrongly

    def share(self, *, small: bool) -> float:
        """The percentage of the known limiters that were named."""
        asked = [run for run in self.runs if run.known and run.small == small]
        return 100 * sum(run.named for run in asked) / max(1, len(asked))

    def within(self) -> float:
        """The percentage of the names that took no more requests and time than they may."""
        named = [run for run in self.runs if run.named]
        return 100 * sum(run.within for run in named) / max(1, len(named))

    def reasons(self) -> Counter[str]:
        """The reasons why known limiters were not named, and how often."""
        return Counter(run.reason for run in self.runs if run.known and not run.named)

    def figures(self) -> Iterator[dict[str, object]]:
        """One JSON object a figure."""
        for name, value, unit, aim in (
            (
                "probe: wrong names",
                sum(run.wrong for run in self.runs),
                f"of {len(self.runs)}",
                "0",
            ),
            ("probe: named, N <= 100 and W <= 10 s", self.share(small=True), "%", ">= 90"),
            ("probe: named, beyond", self.share(small=False), "%", ">= 75"),
            (
                "probe: named within requests and time",
                self.within(),
                "%",
                ">= 95",
            ),
        ):
            yield {
                "name": name,
                "value": value,
                "unit": unit,
                "peer": None,
                "ratio": None,
                "wanted": aim,
            }

    @property
    def wrong(self) -> int:
        """The number of wrong names."""
        return sum(run.wrong for run in self.runs) + sum(wrong for _, wrong in self.real)

    def last_line(self) -> str:
        """The line that counts: wrong names, and the share named of what is known."""
        real = [named for named, _ in self.real]
        runs = len(self.runs) + len(real)
        return (
            f"wrong names: {self.wrong} of {runs}; known limiters named: "
            f"{self.share(small=True):.0f} % with N <= 100 and W <= 10 s, "
            f"{self.share(small=False):.0f} % beyond, {sum(real)} of {len(real)} real ones; "
            f"{self.within():.0f} % of them within requests and time"
        )
