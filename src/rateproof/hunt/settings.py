"""What a test was asked to do."""

from dataclasses import dataclass
from pathlib import Path

from rateproof.events import REJECTED_STATUSES
from rateproof.hunt.recipe import Recipe
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from rateproof.units import SECOND_NS

__all__ = ["TestSettings"]

# What is judged is what was sent, whenever that was: only a generator that hardly
# ran makes an iteration inconclusive, not a busy machine.
_LAG_TOLERANCE_NS = SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSettings:
    """What to test, against which claims, and where the results go.

    Args:
        target: where the requests go.
        policy: what is claimed to hold there.
        key: where each client's identity is put.
        seed: of every draw.
        claims: one or more of `rateproof.prove.ALL_CLAIMS`.
        tolerance_ppm: how far the server's clock may drift from ours.
        granularity_ns: the step of the server's clock.
        timeout_ns: for one answer.
        max_rate: requests a second at most; None: as drawn, but 100 to another machine.
        rejected_statuses: the status codes by which the limiter says no.
        yes: do not ask before sending to another machine.
        may_start: where nothing listens, start a server of our own and test that.
        iterations: how many; None: until stopped.
        duration_ns: how long until it stops as if told to; None: no bound.
        method: of every request, in capital letters.
        headers: of every request, beside those that frame it and the key's own.
        body: of every request.
        body_file: the file that was named for it; None: it was given as such.
        start: a command that serves at the target, started and ended by this test;
            None: see `may_start`.
        nemesis: what is done to a server that was started here, see `plan`.
        fail_fast: stop at the first violation.
        shrink: look for the shortest schedule that repeats a violation.
        denied_count: whether denied requests are said to use up the limit too.
        recipe: run just this instead of what is drawn.
        out: folder of `test_summary.txt` and of the logs.
        json_lines: print each iteration and the totals as JSON on stdout.
        transport: name of what sends; None: the best there is here.
        ca_file: certificates in PEM to trust instead of the system's.
        insecure: accept any certificate.
    """

    target: Target
    policy: Policy
    key: KeySpec
    seed: int
    claims: frozenset[str]
    tolerance_ppm: int
    timeout_ns: int
    max_rate: float | None
    yes: bool
    may_start: bool
    iterations: int | None
    fail_fast: bool
    out: Path
    json_lines: bool
    rejected_statuses: frozenset[int] = REJECTED_STATUSES
    transport: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    granularity_ns: int = 0
    denied_count: bool = False
    duration_ns: int | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    body_file: str | None = None
    start: str | None = None
    nemesis: tuple[str, ...] = ()
    shrink: bool = True
    recipe: Recipe | None = None

    def scenario(
        self,
        groups: tuple[Group, ...],
        *,
        seed: int,
        duration_ns: int,
        start_ns: int | None = None,
    ) -> Scenario:
        """A run against the target.

        Args:
            groups: who sends what.
            seed: of the run's own randomness.
            duration_ns: how long it may last.
            start_ns: see `Scenario`.
        """
        return Scenario(
            target=self.target,
            groups=groups,
            seed=seed,
            duration_ns=duration_ns,
            key=self.key.writable,
            timeout_ns=self.timeout_ns,
            max_rate=self.max_rate,
            rejected_statuses=self.rejected_statuses,
            policy=self.policy,
            lag_tolerance_ns=_LAG_TOLERANCE_NS,
            ca_file=self.ca_file,
            insecure=self.insecure,
            start_ns=start_ns,
            method=self.method,
            headers=self.headers,
            body=self.body,
        )
