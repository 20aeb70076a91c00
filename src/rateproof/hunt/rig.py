"""The target and the means to test it, handed to whoever sends or judges."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from rateproof.events import EventLog, known_clients_only
from rateproof.hunt.keyring import Keyring
from rateproof.hunt.recipe import Crowd, Phase
from rateproof.hunt.server.child import ChildServer
from rateproof.hunt.settings import TestSettings
from rateproof.output import say
from rateproof.prove import Verdict, judge
from rateproof.prove.diagnosis.statuses import only_elsewhere, statuses, why_elsewhere
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.control import Control
from rateproof.simulate.identities import identity_of
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.tokens import Tokens
from rateproof.simulate.transports import Transport
from rateproof.units import SECOND_NS, counted

_SHARED = ("clock", "admitted_statuses", "fresh_keys")


@dataclass(frozen=True, slots=True)
class Rig:
    """The target and the means to test it.

    `stop` ends early whatever goes on, `child` is the server where it is ours to look after,
    and `sent` counts all requests, and tells if any was answered. `keyring` has the keys of a
    file, where identities are not invented; `answers_per_s` is how many the target answers,
    where that was measured.
    """

    settings: TestSettings
    transport: Transport
    stop: threading.Event
    child: ChildServer | None = None
    sent: Counter[str] = field(default_factory=Counter)
    keyring: Keyring | None = None
    answers_per_s: float | None = None

    @property
    def most_per_s(self) -> float | None:
        """The requests a second that make sense: no more than are allowed, nor than are answered."""
        bounds = self.settings.max_rate, self.answers_per_s
        return min((bound for bound in bounds if bound is not None), default=None)

    @property
    def most_clients(self) -> int | None:
        """The clients that a run can have; None: any number."""
        return None if self.keyring is None else self.keyring.left

    def scenario(
        self,
        groups: tuple[Group, ...],
        duration_ns: int,
        *,
        seed: int | None = None,
        phase: Phase | None = None,
    ) -> Scenario:
        """Make a scenario: who sends, for how long, and its phase in windows from the epoch.

        Keys of a file are waited for, and a crowd for which none is left stays away. Where
        there are too few for the clients that follow a schedule, the test ends.
        """
        tokens = None
        if self.keyring is not None:
            groups, tokens = self._with_keys(self.keyring, groups)
        return self.settings.scenario(
            groups,
            tokens=tokens,
            seed=self.settings.seed if seed is None else seed,
            duration_ns=duration_ns,
            start_ns=None if phase is None else phase.next_ns(),
        )

    def _with_keys(
        self, keyring: Keyring, groups: tuple[Group, ...]
    ) -> tuple[tuple[Group, ...], Tokens]:
        leading = list(takewhile(lambda group: isinstance(group.behaviour, Schedule), groups))
        own = sum(group.clients for group in leading)
        crowd = groups[len(leading) :]
        others = sum(
            group.clients * group.behaviour.identities
            for group in crowd
            if isinstance(group.behaviour, Crowd)
        )
        more = sum(group.clients for group in crowd if not isinstance(group.behaviour, Crowd))
        wait_ns = keyring.wait_ns(min(own + others, max(own, keyring.left)))
        if wait_ns is None:
            if not self.stop.is_set():
                say(f"{keyring}: too few are left for {counted(own, 'client')}; the test ends")
            self.stop.set()
            keyring.spent = True
            return groups, Tokens(keyring.keys.keys, own)
        if wait_ns > SECOND_NS:
            say(f"waiting {wait_ns / SECOND_NS:.0f} s: until then its keys may have been used")
        self.stop.wait(wait_ns / SECOND_NS)
        tokens = keyring.take(own, others, more)
        spare = len(tokens.keys) - own
        kept = [group for group in crowd if spare and (isinstance(group.behaviour, Crowd) or more)]
        return (*leading, *kept), tokens

    def send(
        self, scenario: Scenario, observe: Callable[[EventLog], None] | None = None
    ) -> EventLog:
        """Run a scenario until it is over or stopped, as all is once `max_requests` were sent.

        No more than these are sent. Where it begins later, that is said.
        """
        most, keyring = self.settings.max_requests, self.keyring
        if keyring is not None and keyring.spent:  # its keys are others' that were used
            scenario = replace(scenario, max_requests=0)
        elif most is not None:
            scenario = replace(scenario, max_requests=max(0, most - self.sent["requests"]))
        wait_ns = (scenario.start_ns or 0) - time.monotonic_ns()
        if wait_ns > SECOND_NS:
            say(f"waiting {wait_ns / SECOND_NS:.0f} s for the next window")

        def count(part: EventLog) -> None:
            if not self.sent["answered"]:
                self._look(part)
            self.sent["requests"] += len(part)
            if most is not None and self.sent["requests"] >= most:
                self.stop.set()
            if observe is not None:
                observe(part)

        log = self.transport(scenario, control=Control(self.stop), observe=count)
        log.metadata["admitted_statuses"] = sorted(self.settings.admitted_statuses or ())
        if keyring is not None and scenario.tokens is not None:
            log = known_clients_only(log)
            if keyring.spent:
                log.metadata["unsent"] = f"no request was sent, for want of keys: {keyring.told}"
            keyring.give_back(scenario.tokens.names(scenario.written), log)
            log.metadata["assumptions"] = [
                f"nobody else sends with the keys of {str(keyring.keys.file)!r}"
            ]
        log.metadata["fresh_keys"] = keyring is None or keyring.fresh
        return log

    def _look(self, part: EventLog) -> None:
        """Warn at the first answers if they tell of a wrong address; the test goes on, others may come."""
        told, target = self.settings, self.settings.target
        first = part.noting(
            scenario={"rejected_statuses": sorted(told.rejected_statuses)},
            admitted_statuses=sorted(told.admitted_statuses or ()),
        )
        self.sent["answered"] += not statuses(first) <= {None}
        if only_elsewhere(first):
            say(f"warning: {target.url}: so far {why_elsewhere(first)}")

    def judge(self, log: EventLog, claims: frozenset[str] | None = None) -> Verdict:
        """The verdict on a log as the test was told to judge; None: on all its claims."""
        told = self.settings
        return judge(
            log,
            told.policy,
            claims=told.claims if claims is None else claims,
            tolerance_ppm=told.tolerance_ppm,
            granularity_ns=told.granularity_ns,
            denied_count=told.denied_count,
        )


def keys_of(log: EventLog, count: int) -> list[bytes]:
    """The identities of the first clients of the run that a log is of."""
    scenario = log.metadata["scenario"]
    if "own_keys" in scenario:
        return [name.encode() for name in scenario["own_keys"][:count]]
    return [identity_of(scenario["namespace"], number) for number in range(count)]


def rows_of(log: EventLog, keys: Sequence[bytes]) -> dict[bytes, list[int]]:
    """The rows of each of some keys."""
    codes, words = log.codes("key")
    wanted = set(keys)
    by_code = {code: word for code, word in enumerate(words) if word in wanted}
    rows: dict[bytes, list[int]] = {key: [] for key in keys}
    for row, code in enumerate(codes):
        if code in by_code:
            rows[by_code[code]].append(row)
    return rows


def alone(log: EventLog, clients: int) -> list[EventLog]:
    """Split off a log for each of the first clients, as if there had been no other."""
    logs = []
    for rows in rows_of(log, keys_of(log, clients)).values():
        own = EventLog({name: log.metadata.get(name) for name in _SHARED})
        own.extend(log[row] for row in rows)
        logs.append(own)
    return logs
