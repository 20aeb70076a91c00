"""What a probe found, ready to be told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.policy import Quota
from rateproof.probe.course import Course
from rateproof.probe.hello import Hello
from rateproof.probe.identity import IN_KEY, NOT_IN_KEY, Dimension, Workers
from rateproof.probe.infer import Kind

__all__ = ["Finding", "quota_of"]


def quota_of(kind: Kind, *, delaying: bool = False) -> Quota:
    """The policy in our notation; a family that has no word there as a sliding log.

    Args:
        kind: what was found.
        delaying: what it admits is delayed: a queue, which holds all of a burst but the first.
    """
    guess = kind.guess
    if delaying:
        return Quota(guess.limit, guess.window_ns, "leaky-queue", burst=max(1, kind.limit - 1))
    if kind.family.algorithm == "token-bucket":
        return Quota(guess.limit, guess.window_ns, "token-bucket", burst=kind.limit)
    return Quota(kind.limit, guess.window_ns, kind.family.algorithm or "sliding-log")


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a probe.

    Args:
        url: what was probed.
        key: where the identity was put.
        course: what was sent and seen.
        kinds: the limiters that explain all of it, the likelier first.
        delaying: what is admitted is delayed: a leaky queue.
        workers: the burst on many connections, if there was one.
        dimensions: what the limiter's key depends on, as far as it was tried.
        hello: the first answer, and what its headers say of a limit.
        statuses: how often each status was answered.
        rejected_statuses: by which of them the limiter is said to say no.
        requests: how many were sent.
        elapsed_ns: how long it took.
    """

    url: str
    key: str
    course: Course
    kinds: Sequence[Kind]
    delaying: bool
    workers: Workers | None
    dimensions: Sequence[Dimension]
    hello: Hello
    statuses: Counter[int | None]
    rejected_statuses: frozenset[int]
    requests: int
    elapsed_ns: int

    @property
    def quota(self) -> Quota | None:
        """The policy that was inferred, if one was."""
        return quota_of(self.kinds[0], delaying=self.delaying) if self.inferred else None

    @property
    def inferred(self) -> bool:
        """Whether there is a policy to name: one that explains all, its window known closely."""
        return bool(self.kinds) and self.kinds[0].guess.pinned

    @property
    def shared(self) -> bool:
        """Whether a fresh identity was denied once others had used the limit up.

        And whether nothing else that was varied is in the key either.
        """
        told = {each.name: each.verdict for each in self.dimensions}
        return told.get(self.key) == NOT_IN_KEY and IN_KEY not in told.values()

    @property
    def limit(self) -> int | None:
        """The most that a fresh key is admitted at once; None where that is not known."""
        if self.course.several or (self.shared and not self.inferred):  # nobody has one counter
            return None
        return self.course.limit or None

    @property
    def exit_code(self) -> int:
        """0 when a policy was inferred, else 2."""
        return 0 if self.inferred else 2
