"""A last look, where nothing else explains all answers: at windows of a clock whose phase each key has for itself.

When such a key comes back nobody can foretell before it did once. So keys are asked often
until they do, and windows later again: from then on what they admit is foretold.
"""

from collections.abc import Sequence

from rateproof.probe.confirmation import Confirmation, alone, count_excluded, count_predictions
from rateproof.probe.inference import Hypotheses, Kind
from rateproof.probe.rounds import LEAD_NS, NEARLY, Rounds
from rateproof.probe.seen import History, Seen, volleys

_LOOKS = 6
_SLOWER = 8  # parts of the time since a key was full, until it is asked again
_FIRST = 16  # polls of a window, until a key comes back
_LATER = 6  # the same of what is known of a later one
_IDLE, _ROW = 3, 20  # windows; denials
_FORETOLD = 2  # times that it is asked just before and after it comes back


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
        course = self._course
        proof = course.proof = Confirmation((kind.family, kind.limit))
        for _ in range(_LOOKS):
            if kind.high_ns > NEARLY * kind.low_ns:
                keys = self._timed(kind)
            elif proof.closely and not proof.stood:
                keys = self._standing(kind)
            else:
                keys = self._walked(kind)
            if not keys:
                break
            left.learn(keys, careful=1)
            kind = _own_phase(left)
            if kind is None or course.limit != kind.limit:
                course.surprises += 1
                course.proof = None
                break
            count_predictions(proof, kind, keys)
            count_excluded(proof, left, kind, course.keys)
            proof.stood = self._rounds.stood(kind)
            proof.closely = proof.edges > 0
            if proof.done and kind.narrow and alone(proof, left):
                break
        return left

    def _timed(self, kind: Kind) -> Sequence[History]:
        """Ask one key until it came back twice: the time between tells a window that is hardly known."""
        hit, key, limit = self._sender.hitter(fresh=True), list[Seen](), kind.limit
        at_ns, step_ns = self._sender.now_ns(), kind.low_ns // _FIRST
        for _ in range(2):
            key += hit(limit + 1, at_ns, limit + 1)
            full_ns = self._sender.now_ns()
            at_ns = full_ns + step_ns
            while at_ns < self._spending.end_ns and self._spending.left > limit + 1:
                poll = hit(1, at_ns, 1)
                key += poll
                if any(seen.admitted for seen in poll):
                    break
                at_ns += max(step_ns, (at_ns - full_ns) // _SLOWER)
        if not key:
            return []
        self._course.follow(volleys(key))
        return self._course.keys[-1:]

    def _standing(self, kind: Kind) -> Sequence[History]:
        """Send the keys that every name has to stand."""
        start_ns, missing = self._sender.now_ns() + LEAD_NS, self._rounds.to_stand(kind)
        schedules = [steps for _, steps in missing]
        requests = sum(count for steps in schedules for _, count in steps)
        late = any(start_ns + steps[-1][0] > self._spending.end_ns for steps in schedules)
        if not schedules or late or requests > self._spending.left:
            return []
        self._rounds.standing |= dict.fromkeys((number for number, _ in missing), kind)
        return self._rounds.send(schedules, start_ns, kind.whole_ns)

    def _walked(self, kind: Kind) -> Sequence[History]:
        """Follow one key: when it comes back is looked for, ever more closely, then foretold, after denials too."""
        sender, limit, low_ns, high_ns = self._sender, kind.limit, kind.low_ns, kind.high_ns
        most = (4 + _FORETOLD) * (limit + 2) + _FIRST + 2 * _LATER + _ROW
        if (
            sender.now_ns() + (3 + _IDLE + _FORETOLD) * high_ns > self._spending.end_ns
            or most > self._spending.left
        ):
            return []
        hit, key = sender.hitter(fresh=True), list[Seen]()

        def back(first_ns: int, last_ns: int, polls: int) -> tuple[int, int]:
            """Between which instants it came back, of two."""
            for number in range(polls + 1):
                poll = hit(1, first_ns + number * (last_ns - first_ns) // polls, 1)
                key.extend(poll)
                if any(seen.admitted for seen in poll):
                    return first_ns if not number else key[-2].sent_ns, key[-1].received_ns
            return first_ns, last_ns

        key += hit(limit + 1, sender.now_ns(), limit + 1)
        if not key:
            return []
        early_ns, late_ns = back(key[-1].received_ns, key[-1].received_ns + high_ns, _FIRST)
        for windows in (1, _IDLE):
            key += hit(limit, late_ns + (windows - 1) * high_ns + high_ns // 4, limit)
            before = early_ns, late_ns
            early_ns, late_ns = back(
                early_ns + windows * low_ns, late_ns + windows * high_ns, _LATER
            )
            low_ns = max(low_ns, (early_ns - before[1]) // windows)
            high_ns = max(low_ns, min(high_ns, (late_ns - before[0]) // windows))
        margin_ns = self._course.width_ns
        key += hit(limit + _ROW, late_ns + high_ns // 4, limit)
        for _ in range(_FORETOLD):
            early_ns, late_ns = early_ns + low_ns, late_ns + high_ns
            key += hit(1, early_ns - margin_ns, 1)
            key += hit(limit + 1, late_ns + margin_ns, limit + 1)
        self._course.follow(volleys(key))
        return self._course.keys[-1:]


def _own_phase(left: Hypotheses) -> Kind | None:
    return next((kind for kind in left.kinds() if kind.family.other == "own phase"), None)
