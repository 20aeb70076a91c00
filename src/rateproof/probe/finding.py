"""The finding of a probe."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rateproof.policy import Quota
from rateproof.probe.budget import Budget
from rateproof.probe.course import Course
from rateproof.probe.hello import Hello
from rateproof.probe.identity import IN_KEY, NOT_IN_KEY, Dimension
from rateproof.probe.inference import Kind
from rateproof.probe.reach import Reach, reach_of


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a probe.

    Args:
        url: what was probed.
        key: where the identity was put.
        course: what was sent and seen.
        kinds: the limiters that explain all of it, the likelier first.
        delaying: what is admitted is delayed: a leaky queue.
        dimensions: what the limiter's key depends on, as far as it was tried.
        hello: the first answer, and what its headers say of a limit.
        statuses: how often each status was answered.
        rejected_statuses: by which of them the limiter is said to say no.
        requests: how many were sent.
        elapsed_ns: how long it took.
        budget: how much it might have spent.
    """

    url: str
    key: str
    course: Course
    kinds: Sequence[Kind]
    delaying: bool
    dimensions: Sequence[Dimension]
    hello: Hello
    statuses: Counter[int | None]
    rejected_statuses: frozenset[int]
    requests: int
    elapsed_ns: int
    budget: Budget

    @property
    def named(self) -> Kind | None:
        """The limiter whose predictions came true, if there is one and nothing else may be it."""
        return named_kind(self.course)

    @property
    def quota(self) -> Quota | None:
        """The policy that was inferred, if one was."""
        return self.named.quota(delaying=self.delaying) if self.named else None

    @property
    def inferred(self) -> bool:
        """True if there is a policy to name."""
        return self.named is not None

    @property
    def alike(self) -> list[str]:
        """The families that would have answered the same, as closely as answers tell."""
        proof = self.course.proof
        return [family.name for family in proof.alike] if self.named and proof else []

    @property
    def varies_ns(self) -> int | None:
        """By so much or less the times of what is named may vary unseen; None: by how much is not known; 0: it was not looked for."""
        return self.course.proof.varies_ns if self.named and self.course.proof else 0

    @property
    def reach(self) -> Reach:
        """The reach: what was tried, of one key and of all within the least window that is possible."""
        kind, keys = next(iter(self.kinds), None), self.course.keys
        return (
            reach_of(keys, kind.least_ns, kind.limit, kind.grain_ns) if kind else reach_of(keys, 0)
        )

    @property
    def shared(self) -> bool:
        """True if a fresh identity was denied once others had used the limit up.

        And if nothing else that was varied is in the key either.
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


def named_kind(course: Course) -> Kind | None:
    """The limiter whose predictions came true; None if there is none, or something else may be it."""
    kinds, proof = course.hypotheses.kinds() if course.hypotheses else [], course.proof
    if course.several or proof is None or not proof.done or not kinds:
        return None
    if (
        course.shared and not proof.candidate[0].plain
    ):  # such a key may never be as a fresh one again
        return None
    candidates = [kind for kind in kinds if (kind.family, kind.limit) == proof.candidate]
    others = [kind for kind in kinds if kind not in candidates]
    one = all(other.family in proof.alike for other in others)
    if not candidates or not one or candidates[0].strained:
        return None
    return candidates[0] if candidates[0].narrow else None
