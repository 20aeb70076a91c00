"""Refutation: rounds on which what is still possible disagrees most."""

from collections.abc import Sequence
from math import isqrt

from rateproof.probe.inference import Hypotheses, Kind
from rateproof.probe.plan import RoundBounds, beyond, contenders, plan
from rateproof.probe.rounds import LEAD_NS, LEAST_ROUND_NS, NEARLY, Rounds, known_of, serves
from rateproof.probe.seen import History, Steps, volleys
from rateproof.probe.several import Key
from rateproof.units import SECOND_NS

_STILL = 2
_FEW_LEFT, _AGREED = 3, 2
"""Families of which predictions of one tell it from the others; times a window in which all are."""
_CONFIRMING, _GUESSING = 4.5, 6.5
"""Windows of the time that naming takes, for predictions of one of few; where those of one may be wrong."""
_PLENTY, _ROUND = 12, 4
"""Requests for each of the limit: left where two keys are sent for one, and of a round."""
_FIRST = 2  # keys of the first round: a clock's window may be much longer than it seems
_SAVING, _LONGER = 2.125, 3
"""Recoveries that a key idles at first, for two and a little; times as long, each time."""
_CHEAP = 10  # a limit for which they cost little: sent at once where time is dear
_SLOW_NS = 10 * SECOND_NS  # a window for which another round takes too long
_FEW, _DEAR_NS, _LONG_NS = 24, 3 * SECOND_NS, 8 * SECOND_NS
"""A limit, and windows for whose standing keys requests are dearer than another round: for a smaller limit, and for a larger one."""
_KEPT = 3  # windows, for predictions
_BESIDE = 2  # requests for each of the limit: other keys of the same round
_REFUTED, _STANDING = 0.45, 0.85
"""Of the requests that naming takes: so many until the rest is left to predictions, and to the key."""


class Refutation:
    """Rounds that refute, until nothing tells apart what is left."""

    def __init__(self, rounds: Rounds, idle: Key | None = None) -> None:
        self._rounds = rounds
        self._idle = idle
        self._sender = rounds.sender
        self._course = rounds.course
        self._spending = rounds.spending
        self._idled_ns = 0

    def run(self, left: Hypotheses) -> None:
        """Send what those that are left disagree on most, until nothing tells them apart."""
        sender, course, recovery = self._sender, self._course, self._rounds.recovery
        took_ns = max(recovery.admitted_ns - recovery.filled_ns, course.again_ns)
        slowest_ns = max(LEAST_ROUND_NS, 4 * took_ns)
        lead_ns, known, longer = LEAD_NS, list[object](), 1
        while left.boxes and (len(known) < _STILL or known[-_STILL:] != [known_of(left)] * _STILL):
            spare_ns = self._spending.end_ns - sender.now_ns() - lead_ns
            saving = self._saving(left, spare_ns)
            likeliest, *others = left.kinds()
            few = len(left.boxes) <= _FEW_LEFT and likeliest.close
            few |= self._rounds.stood(likeliest) and took_ns > _SLOW_NS
            if known and not others and not course.shared and not saving:
                break
            now_ns = sender.now_ns()
            start_ns = now_ns + lead_ns
            windows = sorted(
                kind.whole_ns // 2 * (kind.low_ns + kind.high_ns) // kind.high_ns
                for kind in left.kinds()
            )
            window_ns = windows[len(windows) // 4]  # those of clocks, the longest, are known last
            most_ns = max(LEAST_ROUND_NS, longer * 9 * window_ns // 4)
            if not known:  # denials may have put it off
                most_ns = min(most_ns, max(LEAST_ROUND_NS, 5 * took_ns // 4))
            few |= windows[-1] < _AGREED * windows[0]
            kept = _GUESSING if self._rounds.plenty(course.limit) else _CONFIRMING
            kept_ns = int(kept * window_ns) * few
            if known and self._spending.late(course.limit, window_ns, kept_ns) and not saving:
                break
            going = [(each.stands, each.onward(start_ns)) for each in self._rounds.going]
            standing: list[Steps] = [steps for stands, steps in going if stands]
            standing += self._standing_of(left.kinds(), spare_ns) if known else []
            kept_ns = min(_KEPT * window_ns, self._spending.budget.time_ns // 2)
            schedules = plan(
                contenders(left),
                course.limit,
                RoundBounds(
                    start_ns,
                    course.width_ns,
                    min(self._rounds.spare(_REFUTED), 64 + _ROUND * course.limit),
                    min(most_ns, slowest_ns, spare_ns - kept_ns),
                ),
                most_schedules=1 if course.shared else None if known else _FIRST,
                times=1 + (self._rounds.spare(_REFUTED) > _PLENTY * course.limit),
                given=standing,
                onward=[steps for stands, steps in going if not stands],
            )
            lead_ns = max(lead_ns, 2 * (sender.now_ns() - now_ns))  # to plan takes time, too
            schedules += saving
            if not schedules and not standing and longer == 1:
                longer = 2
                continue
            schedules += standing
            if schedules:
                known.append(known_of(left))
                most_ns, window_ns = (
                    self._rounds.cut_short(window_ns),
                    recovery.admitted_ns - recovery.filled_ns,
                )
                histories = self._rounds.send(schedules, start_ns, window_ns, most_ns)
                left = self._rounds.learn(left, histories)
            if key := self._saved(left):
                left = self._rounds.learn(left, [key])
            elif not schedules:
                break
        self._rounds.drop()

    def _saved(self, left: Hypotheses) -> History:
        """Ask the key that was left alone since the limit was found: of a limit of 1, does it save what it does not use?"""
        if self._idle is None or not _saving(left):
            return []
        (hit, key), recovery, requests = self._idle, self._rounds.recovery, beyond(1)
        idle_ns = int(_SAVING * (recovery.admitted_ns - recovery.filled_ns))
        at_ns = max(self._sender.now_ns(), key[-1].received_ns + idle_ns)
        if at_ns > self._spending.end_ns or requests > self._rounds.spare(_STANDING):
            return []
        if self._rounds.going and at_ns > self._sender.now_ns():
            return []  # others are asked meanwhile
        self._idle, self._idled_ns = None, at_ns - key[-1].received_ns
        key += volleys(hit(requests, at_ns, requests))
        return key

    def _saving(self, left: Hypotheses, most_ns: int) -> list[Steps]:
        """A key that is left alone until it saves no more."""
        course, recovery = self._course, self._rounds.recovery
        if course.limit > 1 or course.shared or self._idle or not _saving(left):
            return []
        idle_ns = int(_SAVING * (recovery.admitted_ns - recovery.filled_ns))
        requests = beyond(1)
        if self._idled_ns:
            if not (kinds := self._unsaved(left)):
                return []
            idle_ns = _LONGER * self._idled_ns
            requests = max(requests, idle_ns // kinds[0].low_ns + 2)
        if idle_ns > most_ns or requests > self._rounds.spare(_STANDING):
            return []
        self._idled_ns = idle_ns
        return [((0, 1), (idle_ns, requests))]

    def saves_more(self, left: Hypotheses) -> bool:
        """Tell if a key was not left alone for long enough to know how much it saves."""
        return self._idled_ns > 0 and bool(self._unsaved(left))

    def _unsaved(self, left: Hypotheses) -> list[Kind]:
        """The kinds of which a key saved all that came back while it was left alone."""
        saved = self._rounds.recovery.saved
        return [kind for kind in _saving(left) if saved + 1 >= self._idled_ns // kind.high_ns]

    def _standing_of(self, kinds: Sequence[Kind], most_ns: int) -> list[Steps]:
        """The keys that every name has to stand, where they fit: they take the longest."""
        kind = kinds[0]
        if self._course.shared or kind.high_ns > NEARLY * kind.low_ns:
            return []
        kind = kind._replace(high_ns=isqrt(kind.low_ns * kind.high_ns))
        if kind.whole_ns < (_LONG_NS if kind.limit > _FEW else _DEAR_NS):
            return []  # predictions are joined with them, for fewer requests
        dear = kind.limit <= _CHEAP and kind.whole_ns > _SLOW_NS
        alike = [each for each in kinds if serves(kind, each)]
        if len(alike) < (len(kinds) / 2 if dear else len(kinds)):
            return []
        missing = self._rounds.to_stand(kind)
        requests = sum(count for _, steps in missing for _, count in steps) + _BESIDE * kind.limit
        long = any(steps[-1][0] > most_ns for _, steps in missing)
        if long or requests > self._rounds.spare(_STANDING):
            return []
        self._rounds.stand(missing, kind)
        return [steps for _, steps in missing]


def _saving(left: Hypotheses) -> list[Kind]:
    """The kinds of which a key saves what it does not use."""
    return [kind for kind in left.kinds() if kind.family.at_first is not None]
