"""Confirming: rounds of predictions, until the candidate may be named or is refuted."""

from collections.abc import Iterable, Sequence
from math import ceil
from random import Random

from rateproof.probe.confirmation import (
    EXCLUDING,
    PREDICTIONS,
    Confirmation,
    alone,
    count_excluded,
    count_predictions,
    guessed,
)
from rateproof.probe.inference import Hypotheses, Kind
from rateproof.probe.plan import RoundBounds, beyond, contenders, plan
from rateproof.probe.predicting import Wanted, schedules_for
from rateproof.probe.rounds import IDLE, LEAD_NS, LEAST_ROUND_NS, NEARLY, Rounds, known_of, serves
from rateproof.probe.seen import GRANULARITY_NS, Onward, Steps, seen_before
from rateproof.probe.standing_keys import FINELY, closely, measuring, onward, refilled
from rateproof.units import SECOND_NS

_THOROUGH = 3  # looks at what is left beside a candidate
_CONFIRMING, _MEASURING = 20, 4  # rounds
_WIDE, _LESS_WIDE, _FINER, _FINEST = 10, 16, 50, 100
"""Parts of the time between two edges: known less closely, they are not foretold, or are measured."""
_MUCH = 6  # parts of a window: a volley takes much of it
_DEAR_NS, _LONG_NS = 3 * SECOND_NS, 8 * SECOND_NS
"""Windows for which another round takes too long, and for which requests cost less than time."""
_FEW, _CHEAP = 3, 24  # families, and a limit: a round of predictions though others are left
_DRAINED, _TOKENS, _MORE_TOKENS = 4, 40, 160
"""Times that all of a bucket is asked for, and the tokens that tell its rate closely enough for a name, and more closely."""
_CLOSER, _CONFIRMED = 0.85, 1
"""Of the requests that naming takes: so many until the rest is left to the key."""


class Confirming:
    """Rounds that confirm; the first key is asked again in one of them."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._sender = rounds.sender
        self._course = rounds.course
        self._spending = rounds.spending

    def run(self, left: Hypotheses) -> bool:
        """Predict, until it may be named or the budget is spent; False if it is refuted instead."""
        sender, course = self._sender, self._course
        first = guessed(left.kinds())
        proof = course.proof = Confirmation((first.family, first.limit))
        kind = _sifted(left, proof, 1)
        rounds, lead_ns = 0, LEAD_NS
        while kind is not None and rounds < _CONFIRMING:
            rounds += 1
            count_excluded(proof, left, kind, course.keys)
            now_ns = sender.now_ns()
            start_ns = now_ns + lead_ns
            only = alone(proof, left)
            schedules = self._next(proof, left, kind, start_ns)
            late_ns = sender.now_ns() - start_ns
            if late_ns > 0:  # to plan took longer: the same phase of a clock, later
                start_ns += -(-late_ns // kind.whole_ns) * kind.whole_ns
                going = [each.onward(start_ns) for each in self._rounds.going]
                idle = self._rounds.resting(kind)  # for longer then
                kept = (s for s in schedules if not seen_before(s) or seen_before(s) is idle)
                schedules = [*going, *kept]
            lead_ns = max(lead_ns, 2 * (sender.now_ns() - now_ns))
            window_ns = kind.whole_ns
            histories = (
                self._rounds.send(schedules, start_ns, window_ns, self._rounds.cut_short(window_ns))
                if schedules
                else []
            )
            if not histories:
                named = proof.done and kind.narrow
                if not named and ((alone(proof, left) and not only) or self._rounds.more()):
                    continue  # what else is possible answers the same, or there are requests left
                break
            left = self._rounds.learn(left, histories, careful=1)
            kind = _sifted(left, proof, 2)
            if kind is None:
                course.surprises += only  # one of many was a guess, and no prediction of a name
                self._rounds.more()
                break
            if kind.strained:
                if all(other.strained for other in left.kinds()):
                    break
                self._rounds.drop()
                return False  # it is hardly the rule, and another one may be
            count_predictions(proof, kind, histories, start_ns)
            count_excluded(proof, left, kind, course.keys)
            proof.stood = self._rounds.stood(kind) and self._rounds.resting(kind) is None
            proof.stood &= not self._rounds.going
            # One more round that says no more than the window would take too long, or too much.
            late = self._spending.late(kind.limit, kind.whole_ns, 2 * kind.whole_ns)
            if proof.done and kind.narrow and (kind.tight or late or self._spending.times > 1):
                break
        self._rounds.drop()
        proof.true *= kind is not None
        return kind is not None

    def _next(
        self, proof: Confirmation, left: Hypotheses, kind: Kind, start_ns: int
    ) -> list[Steps]:
        """The schedules of the next round, and some that tell more of the window."""
        roughly, only = _roughly(kind), alone(proof, left)
        serving = [serves(kind, other) for other in left.kinds()]
        sure = only or all(serving) or self._plenty(kind)
        sure |= kind.whole_ns > _DEAR_NS and 2 * sum(serving) >= len(serving)
        missing = self._rounds.to_stand(kind) if roughly else []
        # The busy one goes on where an edge is told, and so costs little; else it takes long.
        busy = [steps for number, steps in missing if number == 0]
        told = kind.timeless or kind.limit > _CHEAP or kind.whole_ns < _DEAR_NS
        missing = [(number, steps) for number, steps in missing if sure and (number or not told)]
        width_ns, measured = self._width_ns(kind), list[Steps]()
        if proof.measured < _MEASURING and (roughly or only):
            finer = _FINEST if kind.timeless and kind.whole_ns < _DEAR_NS else _FINER
            # Where it is tight, edges need not be foretold more closely.
            finer = _wide(kind) if kind.tight else max(finer, _wide(kind))
            measured = measuring(kind, start_ns, width_ns, finer, self._rounds.known(kind))
            proof.measured += bool(measured)
        requests = sum(count for steps in measured for _, count in steps)
        going = [each.onward(start_ns) for each in self._rounds.going]
        if kind.whole_ns < _DEAR_NS and 0 < requests <= self._rounds.spare(_CONFIRMED):
            return [*going, *measured]  # the next round foretells more closely
        again = self._reused(kind, start_ns) if only else []
        edges, closest = self._foretold(proof, left, kind, start_ns, again)
        joined = bool(busy) and len(closest) > 1
        # Keys that have to be sent tell rivals apart, too: what is missing after them is asked then.
        waits = (joined and kind.whole_ns < _DEAR_NS) or (
            bool(measured) and not proof.closely and not closest
        )
        if joined:
            goes_on = refilled(kind, start_ns, closest.pop(), busy[0], width_ns)
            missing = [(0, goes_on), *(each for each in missing if each[0])]
        elif busy and sure and told and (closest or proof.closely):
            missing.insert(0, (0, busy[0]))
        first = [*measured, *closest, *(steps for _, steps in missing)]
        again = [steps for steps in again if self._reserved(kind, first)]
        if closest or proof.closely or not first:
            first += again  # else it is one of the closest keys, later
        reserved = self._reserved(kind, first)
        requests = sum(count for steps in [*going, *first] for _, count in steps) + reserved
        named = proof.done and kind.narrow  # the rest tells more of the window: not worth more
        while (
            only and not named and requests > self._rounds.spare(_CONFIRMED) and self._rounds.more()
        ):
            pass  # a part of them says nothing
        most_requests = self._rounds.spare(_CONFIRMED) - reserved
        predictable = self._predictable(proof, left, kind)
        thorough = only or (predictable and self._plenty(kind))
        longest_ns = max((steps[-1][0] for steps in first), default=0)
        most_ns = max(5 * kind.middle_ns // 2 + LEAST_ROUND_NS, longest_ns)
        most_ns = min(self._spending.end_ns - start_ns, most_ns)
        schedules = schedules_for(
            proof,
            left,
            kind,
            RoundBounds(start_ns, width_ns, most_requests, most_ns),
            Wanted(
                edges=0 if waits else edges,
                predictions=PREDICTIONS - proof.true if roughly and not waits else 0,
                excluding=0 if waits else EXCLUDING if thorough else int(predictable),
            ),
            going=going,
            first=first,
            onward=[
                steps
                for key in self._rounds.known(kind)
                for steps in onward(kind, key, start_ns, width_ns)
            ],
        )
        sent = {*schedules}
        self._rounds.stand(((n, steps) for n, steps in missing if steps in sent), kind)
        if closest and missing and missing[0][0] == 0:
            closest.append(missing[0][1])
        proof.closely |= bool(closest) and sent >= {*closest}
        if not schedules and not proof.done and only and self._rounds.more():
            return self._next(proof, left, kind, start_ns)
        return schedules + self._closer(left, kind, start_ns, schedules, only=only)

    def _foretold(
        self,
        proof: Confirmation,
        left: Hypotheses,
        kind: Kind,
        start_ns: int,
        again: Sequence[Onward],
    ) -> tuple[int, list[Steps]]:
        """Count the edges that are to be foretold; the keys that are asked just before and after one, the first key among them."""
        width_ns, edges = self._width_ns(kind), proof.missing_edges
        closest: list[Steps] = []
        if not self._predictable(proof, left, kind) or measuring(
            kind, start_ns, width_ns, _wide(kind)
        ):
            return 0, closest  # nothing could be foretold closely
        if _drainable(kind) and not kind.family.other and not kind.narrow:
            return edges, closest  # drained first, which tells its rate
        if not proof.closely:
            now = [seen_before(steps) for steps in again if not steps[0][0]]
            closest = closely(kind, start_ns, width_ns, *now)
            edges -= bool(closest)
        return edges, closest

    def _width_ns(self, kind: Kind) -> int:
        """The time to which an instant will be known.

        That of one request where a volley takes much of a clock's window: when a key was filled is no matter there.
        """
        course = self._course
        long = kind.family.other == "phase" and course.width_ns > kind.whole_ns // _MUCH
        return course.single_ns if long else course.width_ns

    def _predictable(self, proof: Confirmation, left: Hypotheses, kind: Kind) -> bool:
        """Tell if predictions of the candidate are worth their requests: it is alone, or they are cheaper than time."""
        few = len(left.boxes) <= _FEW and kind.limit <= _CHEAP
        return alone(proof, left) or (kind.close and (few or self._plenty(kind)))

    def _plenty(self, kind: Kind) -> bool:
        """Tell if there are requests for a guess that may be wrong, and time is dearer."""
        return kind.whole_ns > _DEAR_NS and self._rounds.plenty(kind.limit)

    def _reserved(self, kind: Kind, schedules: Iterable[Steps]) -> int:
        """The requests that are kept for the first key, unless it is among those that are asked, or was."""
        key = self._rounds.resting(kind)
        asked = key is None or any(seen_before(steps) is key for steps in schedules)
        return 0 if asked else beyond(self._course.limit)

    def _reused(self, kind: Kind, start_ns: int) -> list[Onward]:
        """Ask the first key again, idle for three cycles after denials, for more than it can save; nothing if that is too late."""
        key = self._rounds.resting(kind)
        if key is None:
            return []
        at_ns = max(0, key[-1].received_ns + GRANULARITY_NS + IDLE * kind.whole_ns - start_ns)
        if at_ns > kind.whole_ns:
            return []
        return [Onward(((at_ns, beyond(kind.limit)),), key)]

    def _closer(
        self,
        left: Hypotheses,
        kind: Kind,
        start_ns: int,
        before: Sequence[Steps],
        *,
        only: bool,
    ) -> list[Steps]:
        """Schedules that tell more about the window, where it is not known closely."""
        spent = sum(count for steps in before for _, count in steps)
        reserved = self._reserved(kind, before)
        if kind.tight or (before and self._course.shared):
            return []
        if not kind.family.refills:
            known = before and (kind.narrow or kind.timeless)  # edges tell more of it
            # Where it is not known closely enough for a name, most answers are quicker than the slowest.
            width_ns = self._course.width_ns if kind.narrow else self._course.interval_ns
            asked = {id(seen_before(steps)) for steps in before}
            free = [key for key in self._rounds.known(kind) if id(key) not in asked]
            keys = [] if known else measuring(kind, start_ns, width_ns, FINELY, free)
            latest_ns = self._spending.end_ns - start_ns
            keys = [steps for steps in keys if steps[-1][0] <= latest_ns and steps not in before]
            if before and not only and kind.limit > _CHEAP and len(keys) > 1:
                return []  # too many for a guess that may be wrong
            requests = sum(count for steps in keys for _, count in steps)
            return keys if requests <= self._rounds.spare(_CONFIRMED) - reserved - spent else []
        if _drainable(kind):
            drained = _drained(kind, start_ns, self._spending.end_ns - start_ns)
            requests = sum(count for _, count in drained) + spent + reserved
            late = start_ns + drained[-1][0] > self._spending.end_ns
            if kind.narrow:  # a closer window is not worth more time than naming takes
                late = self._spending.late(kind.limit, kind.whole_ns, drained[-1][0])
            if not late and requests <= self._rounds.spare(_CLOSER):
                return [drained]
        return plan(
            [each for each in contenders(left) if each.family is kind.family],
            kind.limit,
            RoundBounds(
                start_ns,
                self._course.width_ns,
                self._rounds.spare(_CLOSER) - reserved - spent,
                min(self._spending.end_ns - start_ns, 2 * kind.whole_ns),
            ),
            most_schedules=3,
        )


def _drainable(kind: Kind) -> bool:
    """Tell if what comes back of a bucket in all tells its rate."""
    return kind.family.refills and kind.limit > 1 and kind.family.other in {"", "tick"}


def _drained(kind: Kind, start_ns: int, most_ns: int) -> Steps:
    """Asked for all of a bucket before all is back, as often as there is time for: what comes back in all tells its rate.

    The last time is when one more token is back, or not: the bounds of the rate are halved.
    Where a clock ticks it is amid two ticks, and at no tick at which more may be back than is kept.
    """
    wanted = _MORE_TOKENS if kind.narrow else _TOKENS
    if kind.family.other == "tick":
        shift_ns = (kind.boxes[0].point().other_low_ns + SECOND_NS // 2 - start_ns) % SECOND_NS
        apart_ns = max(1, kind.least_ns // SECOND_NS) * SECOND_NS
        most = (most_ns - shift_ns) // apart_ns
        times = max(2, min(2 * _DRAINED, wanted // kind.limit, most))
        return tuple((shift_ns + n * apart_ns, kind.limit) for n in range(times + 1))
    cheap = min(_CHEAP // kind.limit, _DEAR_NS // kind.whole_ns)
    # With what is left of one in part, no more than it holds: what overflows would tell nothing.
    each = min(kind.limit * Random(start_ns).uniform(0.75, 0.9), kind.limit - 1)
    most = int(most_ns * kind.limit / each / kind.middle_ns)
    times = max(1, min(max(_DRAINED, cheap), ceil(wanted / each), most))
    tokens = round(times * each)
    end_ns = tokens * kind.middle_ns // kind.limit
    later = ((number * end_ns // times, kind.limit) for number in range(1, times + 1))
    return (0, kind.fresh), *later


def _wide(kind: Kind) -> int:
    """The parts of the time between two edges to which one is known before it is foretold.

    A rule that counts what was used before may put off the next window of a key that was full
    by the time of one request.
    """
    if kind.clockwise:
        return max(_WIDE, min(2 * kind.limit, 2 * _FINEST))
    return _WIDE if kind.family.other else _LESS_WIDE


def _roughly(kind: Kind) -> bool:
    """Tell if a window is known well enough for the keys that every name has to stand."""
    return kind.high_ns <= NEARLY * kind.low_ns


def _sifted(left: Hypotheses, proof: Confirmation, careful: int) -> Kind | None:
    """The candidate, once what is possible beside it was looked at more and more closely; None if it is refuted."""
    before = None
    for closer in range(careful, careful + _THOROUGH):
        if alone(proof, left) or before == known_of(left):
            break
        before = known_of(left)
        left.learn((), careful=closer)
    found = (kind for kind in left.kinds() if (kind.family, kind.limit) == proof.candidate)
    return next(found, None)
