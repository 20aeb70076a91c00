"""A recipe: what one client sends when, short enough to be told in a sentence and repeated."""

import re
import time
from dataclasses import dataclass
from typing import ClassVar, Self

from rateproof.errors import InvalidArgument
from rateproof.options.kinds import whole
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.programs.arrivals import Fixed
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RENAME, ask, compiled, repeat, wait
from rateproof.simulate.scenario import Group
from rateproof.units import format_seconds, parse_duration

_MOST_CONNECTIONS = 10_000
_MOST_OTHERS = 1_000_000
_CROWD_LANES, _CROWD_AT_ONCE = 16, 64
_PREPARING_NS = 250_000_000  # until a run is ready to begin
_PHASE = re.compile(r"(.*?)(?:\s+of\s+(.*))?")


@dataclass(frozen=True, slots=True)
class Phase:
    """The beginning of a schedule within windows that are counted from the epoch.

    Args:
        at_ns: Unix time modulo `of_ns` at the schedule's instant 0.
        of_ns: the window.

    Raises:
        InvalidArgument: not within the window.
    """

    at_ns: int
    of_ns: int

    def __post_init__(self) -> None:
        if not 0 <= self.at_ns < self.of_ns:
            raise InvalidArgument(
                f"phase {format_seconds(self.at_ns)} of {format_seconds(self.of_ns)}",
                "from 0 to below the window",
            )

    @classmethod
    def parse(cls, text: str, window_ns: int) -> Self:
        """Read `4.9s`, or `4.9s of 60s`; `str` gives the second form.

        Args:
            text: what to read.
            window_ns: the window where the text names none.

        Raises:
            InvalidArgument: another form, or not within the window.
        """
        match = _PHASE.fullmatch(text.strip())
        at, of = match.groups() if match else (text, None)
        return cls(parse_duration(at), window_ns if of is None else parse_duration(of))

    def next_ns(self) -> int:
        """The next instant of the monotonic clock with this phase, as the clocks go now."""
        unix_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        ready_ns = unix_ns + _PREPARING_NS
        return monotonic_ns + _PREPARING_NS + (self.at_ns - ready_ns) % self.of_ns

    def __str__(self) -> str:
        return f"{format_seconds(self.at_ns)} of {format_seconds(self.of_ns)}"


@dataclass(frozen=True, slots=True)
class Crowd:
    """One request each of so many identities that nobody has seen, as fast as they are answered."""

    name: ClassVar[str] = "crowd"

    at_ns: int
    identities: int

    def program(self) -> Program:
        """A new name after each request."""
        before = wait(Fixed(self.at_ns)) if self.at_ns else ()
        return compiled(before, repeat(self.identities, ask(), RENAME))


@dataclass(frozen=True, slots=True)
class Recipe:
    """The requests of a fresh client: times, connections, other clients, and phase.

    Args:
        schedule: its requests.
        connections: over which they are shared evenly, 1 to 10,000; more than the
            largest step has requests are left out.
        others: other fresh clients meanwhile, one request of each.
        phase: where the schedule begins in windows from the epoch; None: anywhere.

    Raises:
        InvalidArgument: out of these bounds, or others who come after the last request.
    """

    schedule: Schedule
    connections: int = 1
    others: Schedule | None = None
    phase: Phase | None = None

    def __post_init__(self) -> None:
        whole(1, _MOST_CONNECTIONS).hold("connections", self.connections)
        most = self.largest
        object.__setattr__(self, "connections", min(self.connections, most))
        if self.others is not None:
            whole(1, _MOST_OTHERS).hold("others in all", self.other_clients)
            last_ns = self.others.steps[-1][0]
            if last_ns > self.span_ns:
                raise InvalidArgument(
                    f"others at {format_seconds(last_ns)}",
                    f"no later than the last request, at {format_seconds(self.span_ns)}",
                )

    @property
    def requests(self) -> int:
        """The number of requests that the client sends in all."""
        return sum(requests for _, requests in self.schedule.steps)

    @property
    def largest(self) -> int:
        """The most that it sends at one instant."""
        return max(requests for _, requests in self.schedule.steps)

    @property
    def other_clients(self) -> int:
        """The number of other clients."""
        return sum(count for _, count in self.others.steps) if self.others else 0

    @property
    def span_ns(self) -> int:
        """The instant of its last request."""
        return self.schedule.steps[-1][0]

    def client(self, start_ns: int = 0) -> Group:
        """The client, who begins so much later than the scenario."""
        return Group(_later(self.schedule, start_ns), 1, self.connections)

    def crowd(self, start_ns: int = 0) -> list[Group]:
        """The others, who come with a client that begins at `start_ns`.

        Those who come at the instant of some of its requests come on more connections, so that
        they meet at the server.
        """
        groups: list[Group] = []
        own_ns = {at_ns for at_ns, _ in self.schedule.steps}
        for at_ns, count in self.others.steps if self.others else ():
            lanes = min(_CROWD_AT_ONCE if at_ns in own_ns else _CROWD_LANES, count)
            each, over = divmod(count, lanes)
            for identities, clients in ((each + 1, over), (each, lanes - over)):
                if clients:
                    groups.append(Group(Crowd(start_ns + at_ns, identities), clients))
        return groups

    def options(self) -> list[str]:
        """Options that make `rateproof test` run it."""
        options = ["--schedule", str(self.schedule)]
        if self.connections > 1:
            options += ["--connections", str(self.connections)]
        if self.others is not None:
            options += ["--others", str(self.others)]
        if self.phase is not None:
            options += ["--phase", str(self.phase)]
        return options

    def __str__(self) -> str:
        text = self.schedule.told
        if self.connections > 1:
            text += f"; on {self.connections} connections"
        if self.others is not None:
            text += f"; meanwhile other clients: {self.others.told}"
        if self.phase is not None:
            window = format_seconds(self.phase.of_ns)
            text += f"; from Unix time modulo {window} = {format_seconds(self.phase.at_ns)} on"
        return text


def _later(schedule: Schedule, by_ns: int) -> Schedule:
    return Schedule(tuple((at_ns + by_ns, requests) for at_ns, requests in schedule.steps))
