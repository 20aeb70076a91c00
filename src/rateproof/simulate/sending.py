"""The way in which a test or a probe sends its requests, and the scenario that comes of it."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from rateproof.keyfile import KeyFile
from rateproof.keyspec import KeySpec
from rateproof.options.declared import VERBS
from rateproof.options.forms import Data
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target
from rateproof.units import SECOND_NS

# What is judged is what was sent, whenever that was: only a generator that hardly
# ran is worth a warning, not a busy machine.
_LAG_TOLERANCE_NS = SECOND_NS


@dataclass(frozen=True, kw_only=True)
class Sending:
    """The request, and how fast: an option of the command line each, which says what it means.

    Without `max_rate` it is as fast as drawn, but 100 a second to another machine; without
    `transport` the best there is here sends.
    """

    target: Target
    key: KeySpec
    keys: KeyFile | None
    query: tuple[tuple[str, str], ...]
    method: str
    headers: tuple[tuple[str, str], ...]
    data: Data
    timeout_ns: int
    max_rate: float | None
    rejected_statuses: frozenset[int]
    transport: str | None
    ca_file: str | None
    insecure: bool
    yes: bool

    verb: ClassVar[str]

    @classmethod
    def told(cls, **values: Any) -> Self:
        """The defaults of the verb, but for what is told otherwise; names of no field are left out.

        Args:
            values: by the options' names inside the program, `url` for the target.

        Raises:
            InvalidArgument: a value, or several together, that cannot be accepted.
        """
        found = VERBS[cls.verb].defaults() | values
        found["target"] = Target.parse(found["url"]).asking(found["query"])
        return cls(**{each.name: found[each.name] for each in fields(cls)})

    @property
    def body(self) -> bytes:
        """Of every request."""
        return self.data.body

    def scenario(self, groups: tuple[Group, ...], **more: Any) -> Scenario:
        """A run against the target."""
        return Scenario(
            target=self.target,
            groups=groups,
            key=self.key.writable,
            timeout_ns=self.timeout_ns,
            max_rate=self.max_rate,
            rejected_statuses=self.rejected_statuses,
            lag_tolerance_ns=_LAG_TOLERANCE_NS,
            ca_file=self.ca_file,
            insecure=self.insecure,
            method=self.method,
            headers=self.headers,
            body=self.body,
            **more,
        )
