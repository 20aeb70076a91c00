"""What is in a log, and which of its keys have to be looked at: the reference, which names all."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rateproof.events import REJECTED, EventLog
from rateproof.events.columns import NULL
from rateproof.policy import Policy
from rateproof.prove.models import Tolerance
from rateproof.prove.observed import KeyLog, observe
from rateproof.prove.pressure.calls import ClosestCall, rank
from rateproof.prove.pressure.pressure import Pressure, measure
from rateproof.prove.rejections.rules import Judgement

if TYPE_CHECKING:
    from array import array

__all__ = [
    "Counts",
    "Survey",
    "Suspect",
    "cut_off",
    "fresh",
    "only_elsewhere",
    "survey",
    "survey_of",
]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a verdict rests on.

    Args:
        keys: different keys.
        events: requests.
        admitted: requests known to be admitted.
        rejected: requests known to be rejected by the limiter.
        unknown: the rest.
        judged: rejections that could be judged, under a policy that has a rule
            and where the log goes back far enough.
    """

    keys: int = 0
    events: int = 0
    admitted: int = 0
    rejected: int = 0
    unknown: int = 0
    judged: int = 0

    def sentence(self) -> str:
        """The figures in one line."""
        return (
            f"{self.events} requests of {self.keys} {'key' if self.keys == 1 else 'keys'}: "
            f"{self.admitted} admitted, {self.rejected} rejected, {self.unknown} unknown"
        )

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Suspect:
    """A key against which something may be found.

    The first three costs are positions that a search for over-admission would decide
    again to find nothing; None where only the search can tell.

    Args:
        load: gives its requests.
        broken: gives those among which a window certainly holds too many; None
            where no such window is known.
        tolerated: the cost under the tolerance.
        exact: the cost had the clocks agreed.
        unknown: the cost had the unknown requests that ended been admitted.
        wrong: whether any of its rejections may be wrong.
        joint: the cost of explaining all of its rejections together, a search
            over orders of decisions; None where it is to be made.
    """

    load: Callable[[], KeyLog]
    broken: Callable[[], KeyLog] | None = None
    tolerated: int | None = None
    exact: int | None = None
    unknown: int | None = None
    wrong: bool = True
    joint: int | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a log before anything is searched.

    Args:
        counts: what is in it.
        pressure: how hard it pressed, one for each quota in policy order.
        longest_ns: the longest way from sending to answer; None where an
            answer was lost, or there is none.
        suspects: the keys to look at, in order of appearance.
        wrong_if_exact: whether a rejection of any key would be wrong, had the
            clocks agreed; None if that is not known yet.
        wrong_if_unknown: the same, had no unknown request been admitted.
        closest: the keys that came closest to more than is allowed.
        pressed: give the requests of the keys that pressed hardest.
    """

    counts: Counts
    pressure: tuple[Pressure, ...]
    longest_ns: int | None
    suspects: Sequence[Suspect]
    wrong_if_exact: bool | None = None
    wrong_if_unknown: bool | None = None
    closest: tuple[ClosestCall, ...] = ()
    pressed: Sequence[Callable[[], KeyLog]] = ()


def fresh(log: EventLog) -> bool:
    """Whether the log says that no key was in use before it began."""
    return log.metadata.get("fresh_keys") is True


def cut_off(log: EventLog) -> bool:
    """Whether the log says that requests of its run are missing: no rejection is judged then."""
    return log.metadata.get("complete") is False


def only_elsewhere(log: EventLog) -> bool:
    """Whether every answer says that the requests went to the wrong place, and none was limited.

    A login page, a redirect or a wrong path is seldom behind the limiter that
    is meant, so what it admits shows nothing.
    """
    statuses = (status for status in _stored(log, "status", log.ints) if status != NULL)
    if not all(300 <= status < 500 for status in statuses):
        return False
    rejected = {code for code, word in enumerate(log.words("outcome")) if word == REJECTED}
    answered = any(status != NULL for status in _stored(log, "status", log.ints))
    codes = _stored(log, "outcome", lambda name: log.codes(name)[0])
    return answered and rejected.isdisjoint(codes)


def _stored(log: EventLog, name: str, each: Callable[[str], "array[int]"]) -> Sequence[int]:
    """The numbers of a column, one where all rows have the same."""
    same = log.same(name)
    return each(name) if same is None else [same]


def survey(log: EventLog, policy: Policy, tolerance: Tolerance, judgement: Judgement) -> Survey:
    """Count and measure a log, with an object for each event; every key is a suspect."""
    keys = list(observe(log).values())
    return survey_of(keys, policy, tolerance, replace(judgement, longest_ns=_longest(keys)))


def survey_of(
    keys: Sequence[KeyLog], policy: Policy, tolerance: Tolerance, judgement: Judgement
) -> Survey:
    """Count and measure some keys of a log, of which `judgement` knows what concerns them all."""
    counts = Counts(
        keys=len(keys),
        events=sum(len(key.admitted) + len(key.rejected) + len(key.unknown) for key in keys),
        admitted=sum(len(key.admitted) for key in keys),
        rejected=sum(len(key.rejected) for key in keys),
        unknown=sum(len(key.unknown) for key in keys),
        judged=sum(len(judgement.judged(key, tolerance)) for key in keys),
    )
    suspects = [Suspect(partial(_same, key)) for key in keys]
    closest, pressed = rank(keys, policy)
    return Survey(
        counts,
        measure(keys, policy),
        judgement.longest_ns,
        suspects,
        closest=closest,
        pressed=pressed,
    )


def _same(key: KeyLog) -> KeyLog:
    return key


def _longest(keys: Collection[KeyLog]) -> int | None:
    if any(key.unknown for key in keys):
        return None
    known = (job for key in keys for job in (*key.admitted, *key.rejected))
    return max((received_ns - sent_ns for sent_ns, received_ns in known), default=None)
