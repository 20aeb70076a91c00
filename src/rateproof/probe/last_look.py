"""A last look, where nothing else explains all answers: at windows of a clock whose phase each key has for itself.

When such a key comes back nobody can foretell before it did once. So keys are followed until
it is known; from then on what they admit is foretold.
"""

from collections.abc import Sequence

from rateproof.probe.confirmation import Confirmation, alone, count_excluded, count_predictions
from rateproof.probe.followed import KEYS, Followed, differ, follow
from rateproof.probe.inference import Hypotheses, Kind
from rateproof.probe.rounds import Rounds
from rateproof.probe.seen import volleys

_LOOKS = 3


class LastLook:
    """A look at the families that explain so much that they are looked at only where no other explains everything."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._sender = rounds.sender
        self._course = rounds.course
        self._spending = rounds.spending

    def run(self, fallen: Hypotheses) -> Hypotheses:
        """Return the limiters that are left; one whose keys have phases of their own is confirmed within the budget.

        Args:
            fallen: the other families, none of which explains everything.
        """
        left = self._rounds.last()
        left.fallen |= fallen.fallen
        kind = _own_phase(left)
        if kind is None:
            return left
        course, followed = self._course, list[Followed]()
        proof = course.proof = Confirmation((kind.family, kind.limit))
        for _ in range(_LOOKS):
            keys = self._followed(kind)
            if not keys:
                break
            followed += keys
            left.learn(course.keys[-len(keys) :], careful=1)
            kind = _own_phase(left)
            if kind is None or course.limit != kind.limit:
                course.surprises += 1
                course.proof = None
                break
            count_predictions(proof, kind, course.keys[-len(keys) :])
            count_excluded(proof, left, kind, course.keys)
            proof.stood = proof.closely = differ(followed) and proof.edges > 0
            named = proof.done and kind.narrow and alone(proof, left)
            if named or not keys[0].tells or len(keys) == KEYS:
                break
        return left

    def _followed(self, kind: Kind) -> Sequence[Followed]:
        """Follow keys, and note what came of them."""
        course = self._course
        keys = follow(kind, self._sender, self._spending, course.single_ns, course.width_ns)
        for key in keys:
            course.follow(volleys(key.seen))
        return keys


def _own_phase(left: Hypotheses) -> Kind | None:
    return next((kind for kind in left.kinds() if kind.family.other == "own phase"), None)
