"""Settings of a test."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rateproof.errors import InvalidArgument, told_by
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.server.nemesis import parse_deeds
from rateproof.options.declared import VERBS
from rateproof.options.shared import DEFAULT_URL
from rateproof.options.sources import Known, Run
from rateproof.policy import Policy
from rateproof.prove.terms import CLAIM_SETS
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Group, Scenario, fresh_seed
from rateproof.simulate.sending import Sending


@dataclass(frozen=True, kw_only=True)
class TestSettings(Sending):
    """Target, claims and outputs of a test: options of the verb.

    Args:
        seed: of every draw.
        claim: a name from `CLAIM_SETS`.
        own: start a server of our own and test that.
        may_start: do so where nothing listens; never where a URL was told.
        iterations: how many; None: until stopped.
        start: a command that serves at the target, started and ended by this test;
            None: see `own` and `may_start`.
        on: the cluster whose workers send; None: this process does.
        nemesis: what is done to a server that was started here, see `plan`.
        recipe: run just this instead of what is drawn.
        endpoint: its name in the settings file, if it has one.
        known: what the settings file tells, and whoever repeats the test need not.
    """

    policy: Policy
    seed: int
    admitted_statuses: frozenset[int] | None
    claim: str
    tolerance_ppm: int
    granularity_ns: int
    denied_count: bool
    fresh_keys: bool
    own: bool
    may_start: bool
    iterations: int | None
    duration_ns: int | None
    on: str | None
    max_requests: int | None
    start: str | None
    nemesis: tuple[str, ...]
    fail_fast: bool
    outer_time_ns: int
    allow_untested: bool
    shrink_time_ns: int
    worst_time_ns: int
    recipe: Recipe | None
    out: Path
    json: bool
    verbose: bool
    endpoint: str | None
    known: Known

    verb = "test"

    @classmethod
    def told(cls, **values: Any) -> Self:
        """See `Sending.told`."""
        defaults = VERBS[cls.verb].defaults()
        found = {**defaults, "endpoint": None, "known": Known((), defaults)} | values
        recipe = _recipe(found)
        found["may_start"] = found["may_start"] and found["url"] is None
        found["url"] = found["url"] or DEFAULT_URL
        found["seed"] = fresh_seed() if found["seed"] is None else found["seed"]
        found["shrink_time_ns"] *= found["shrink"]
        found["nemesis"] = parse_deeds(found["nemesis"])
        found["iterations"] = found["iterations"] or (1 if recipe else None)
        return super().told(**found, recipe=recipe)

    @classmethod
    def of(cls, run: Run) -> Self:
        """The settings of one of the tests that a command asks for; errors name its endpoint."""
        with told_by(f"endpoint {run.endpoint!r}") if run.endpoint else nullcontext():
            return cls.told(**run.values | {"endpoint": run.endpoint, "known": run.known})

    @property
    def is_endless(self) -> bool:
        """True if it goes on until it is stopped."""
        return not (self.iterations or self.duration_ns or self.max_requests)

    @property
    def claims(self) -> frozenset[str]:
        """The claims that are judged."""
        return CLAIM_SETS[self.claim]

    def scenario(self, groups: tuple[Group, ...], **more: Any) -> Scenario:
        """See `Sending.scenario`; the policy is noted in it."""
        return super().scenario(groups, policy=self.policy, **more)


def _recipe(values: Mapping[str, Any]) -> Recipe | None:
    if values["schedule"] is None:
        for name in ("connections", "others", "phase"):
            if values[name] is not None:
                raise InvalidArgument(f"--{name} without --schedule", "it belongs to a schedule")
        return None
    others, phase = values["others"], values["phase"]
    window_ns = values["policy"].quotas[0].window_ns
    return Recipe(
        Schedule.parse(values["schedule"]),
        connections=values["connections"] or 1,
        others=None if others is None else Schedule.parse(others),
        phase=None if phase is None else Phase.parse(phase, window_ns),
    )
