"""The clients in a scenario file: how many, how each behaves, with which parameters."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Self

from rateproof.errors import InvalidArgument
from rateproof.options.forms import RATE
from rateproof.options.kinds import Option, Section
from rateproof.policy import Policy
from rateproof.simulate.behaviours import BEHAVIOURS, behaviour_named, make_behaviour
from rateproof.simulate.programs.arrivals import INTERVALS
from rateproof.simulate.programs.parameters import kind_of, meanings
from rateproof.simulate.scenario import CLIENTS as COUNT
from rateproof.simulate.scenario import Group

_DEFAULT_BEHAVIOUR = "think"

# Equal to no default, so that what they determine shows.
_ODD_RATE = 1.7
_ODD_POLICY = Policy.parse("7 per 3s")


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A group as it stands in a file: what it becomes depends on the policy.

    Args:
        behaviour: a name from `BEHAVIOURS`.
        clients: how many.
        connections: of each of them.
        rate_per_s: requests a second of the whole group; None: the behaviour's own.
        parameters: of the behaviour, where they are not its defaults.
    """

    behaviour: str = _DEFAULT_BEHAVIOUR
    clients: int = 1
    connections: int = 1
    rate_per_s: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, **told: Any) -> Self:
        """The group as told otherwise, by the names of its fields.

        Another behaviour starts from its own defaults, and a rate replaces
        whatever else tells how often.

        Raises:
            InvalidArgument: no behaviour has this name.
        """
        name, kept = told.get("behaviour", self.behaviour), self
        if name != self.behaviour:
            behaviour_named(name)
            kept = replace(self, rate_per_s=None, parameters={})
        if "rate_per_s" in told:
            left = kept.parameters.keys() - _told_by_rate(name)
            kept = replace(kept, parameters={each: kept.parameters[each] for each in left})
        return replace(kept, **told)

    def group(self, policy: Policy | None) -> Group:
        """The group, with attackers who aim at `policy`.

        Raises:
            InvalidArgument: parameters that do not fit together.
        """
        rate = self.rate_per_s
        if rate is not None:
            rate /= self.clients * self.connections
        aimed = make_behaviour(self.behaviour, rate_per_s=rate, policy=policy)
        parameters = _chosen(aimed) | dict(self.parameters)
        behaviour = BEHAVIOURS[self.behaviour](**parameters)
        return Group(behaviour, self.clients, self.connections)


def _chosen(behaviour: Any) -> dict[str, Any]:
    """A behaviour's parameters, without those that it derives from the others if left out."""
    plain = type(behaviour)()
    return {
        each.name: getattr(behaviour, each.name)
        for each in fields(behaviour)
        if getattr(plain, each.name) == each.default
    }


def _told_by_rate(name: str) -> frozenset[str]:
    """The parameters that a rate determines; empty for a behaviour that has no rate."""
    try:
        rated = _chosen(make_behaviour(name, rate_per_s=_ODD_RATE, policy=_ODD_POLICY))
    except InvalidArgument:
        return frozenset()
    plain = BEHAVIOURS[name]()
    return frozenset(each for each, value in rated.items() if getattr(plain, each) != value)


def _group_plan(arguments: dict[str, Any]) -> GroupPlan:
    own = {each.name for each in fields(GroupPlan)} & arguments.keys()
    parameters = {name: value for name, value in arguments.items() if name not in own}
    return GroupPlan(**{name: arguments[name] for name in own}, parameters=parameters)


def _interval(arguments: dict[str, Any]) -> Any:
    return INTERVALS[arguments.pop("distribution")](**arguments)


def _in_file(doc: str) -> str:
    """A docstring's line on a parameter, with the names that a file has for others."""
    return re.sub(r"`(\w+)_ns`", r"`\1`", doc.rstrip("."))


def _options(kind: Any) -> dict[str, Option]:
    """Options for its parameters: durations are text, so that `_ns` falls away."""
    means = meanings(kind)
    found = (
        Option(
            each.name.removesuffix("_ns"),
            kind_of(each) or INTERVAL,
            _in_file(means[each.name]),
            required=each.default is MISSING,
        )
        for each in fields(kind)
    )
    return {option.name: option for option in found}


INTERVAL = Section(
    options={},
    make=_interval,
    name="interval",
    tag="distribution",
    variants={name: _options(kind) for name, kind in INTERVALS.items()},
)


def _behaviour_options(name: str) -> dict[str, Option]:
    found = _options(BEHAVIOURS[name])
    if told := _told_by_rate(name):
        found["rate"] = Option(
            "rate",
            RATE,
            "requests a second of the whole group together",
            argument="rate_per_s",
            excludes=tuple(plain for plain, each in found.items() if each.inside in told),
        )
    return found


CLIENTS = Section(
    options={
        "count": Option("count", COUNT, "how many clients", "1", argument="clients"),
        "connections": Option(
            "connections", COUNT, "of each client; all follow the same plan", "1"
        ),
    },
    make=_group_plan,
    tag="behaviour",
    variants={name: _behaviour_options(name) for name in BEHAVIOURS},
    default=_DEFAULT_BEHAVIOUR,
)
