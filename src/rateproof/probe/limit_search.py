"""The first keys of a probe: how many requests are admitted at once, and when the next is."""

from collections.abc import Iterable, Sequence
from math import ceil
from statistics import median

from rateproof.probe.budget import Spending
from rateproof.probe.course import Course
from rateproof.probe.inference import Recovery
from rateproof.probe.seen import Seen, condensed, volleys
from rateproof.probe.sending import Sender
from rateproof.probe.several import RUN, Hit, Key, Several, denials_beyond_chance, several
from rateproof.units import SECOND_NS

_FIRST_DELAY_NS = 10_000_000
_ONE_BY_ONE = 128  # on one connection, before whole volleys are sent
_PARTS = 8  # of what one connection was admitted, one by one: finer tells no more
_AT_ONCE = 6  # polls right after the denial: of several counters one may have room
_SOON_NS = 100_000_000
_TURNS_NS, _LONGER = (
    SECOND_NS,
    8,
)  # two keys are asked in turn from then on; times as one took to fill
_SURELY = 24  # parts of a window, after which one that was filled so much later is back, too
_SCATTERED, _SCATTERING, _SCATTERS = 20, 160, 5
_HINT_EDGE = 25  # a window of w is looked for from w - w/25 to w + w/25
_AGAIN = 2
_SOON_AGAIN_NS = 3 * SECOND_NS  # so soon, it may have been the end of a much longer window
_SECOND_TIME = 3  # at most a third of the time that is left
_WHOLE, _PATIENCE = 2, 8  # windows after which a count that all share is whole; parts of the time


class LimitSearch:
    """A search for the limit of a fresh key and for its recovery, noted in the course.

    Attributes:
        first: the key that was filled at once, and what was seen of it; None before that.
        idle: the same of one that is left alone from then on, where the limit is 1.
    """

    def __init__(
        self, sender: Sender, course: Course, spending: Spending, delays_ns: Sequence[int]
    ) -> None:
        self.first: Key | None = None
        self.idle: Key | None = None
        self._sender = sender
        self._course = course
        self._spending = spending
        self._delays_ns = delays_ns
        self._roams = False

    def find(self) -> Recovery | None:
        """Find how many are admitted at once, on one connection and on many, and when the next is.

        Returns:
            The recovery of a key; None if nothing came back, or if it is no limiter with one counter.
        """
        sender, course = self._sender, self._course
        alone = self._alone(_ONE_BY_ONE)
        if sender.delaying:
            return None
        other, place = sender.hitter(fresh=False), len(course.keys) - 1
        size = max(8, course.burst + max(3, course.burst // 8))
        hit, seen = self._burst(size)
        row = len(course.rounds) - 1
        if seen and not any(each.admitted for each in seen):
            course.shared = True
            seen = self._later(hit, size) if course.burst else []
        if not any(each.denied for each in seen):
            if alone and alone[-1].denied:
                self._denied_alone(alone)
            return None
        course.limit = course.burst = sum(each.admitted for each in seen)
        filled = seen[0]
        denied = sum(each.denied for each in seen)
        hit, key = self._polls(self._filled(hit, seen, alone, (other, place)))
        if hit is other:
            filled = alone[0]._replace(received_ns=alone[-1].received_ns)
        denied_ns = max([filled.sent_ns, *(each.sent_ns for each in key if each.denied)])
        course.held_ns = max(0, denied_ns - filled.received_ns)
        back = key[-1] if key[-1].admitted else None
        course.back_ns = back.received_ns - filled.sent_ns if back else 0
        took = [each.received_ns - each.sent_ns for each in (*alone, *key[1:])]
        course.interval_ns = round(median(took))
        if back and back.received_ns - filled.sent_ns < _SOON_AGAIN_NS:
            key += self._again(hit)
        more = course.limit > sum(each.admitted for each in alone)
        scattered = course.shared or sender.reconnecting  # each request may meet another counter
        if alone and more and not scattered and alone[-1].denied:
            self._stuck(alone, filled, back)
        if not back:
            return None
        if self.first and not course.shared:
            one, first = self.first
            sender.keep(one)
            course.keep(first, row)
        return Recovery(
            course.limit,
            filled.sent_ns,
            filled.received_ns,
            denied_ns,
            back.received_ns,
            denied=denied,
        )

    def _denied_alone(self, alone: Sequence[Seen]) -> None:
        """Note what it says that no key was denied on many connections: they met other counters, if it was admitted more."""
        course, each = self._course, sum(seen.admitted for seen in alone)
        if each == course.burst:  # no requests were left for more
            course.limit = each
            return
        held_ns = max(0, alone[-1].sent_ns - alone[0].received_ns)
        sticky = not self._sender.reconnecting
        course.several = Several(each, course.burst, low_ns=held_ns, sticky=sticky)

    def _filled(
        self, hit: Hit, seen: Sequence[Seen], alone: Sequence[Seen], other: tuple[Hit, int]
    ) -> list[Key]:
        """The key that was filled at once, and the one before, by its place, if it was filled as far."""
        course, key = self._course, list(seen)
        course.keys[-1] = key
        self.first = hit, key
        keys = [self.first]
        if course.shared:
            return keys
        if course.limit == 1:  # what it saves is known the sooner, the sooner it is left alone
            left_alone = self._sender.hitter(fresh=True)
            if once := volleys(left_alone(1, 0, 1)):
                course.keys.append(once)
                self.idle = left_alone, once
        if alone and alone[-1].denied and sum(each.admitted for each in alone) == course.limit:
            one_by_one, place = other
            before = list(course.keys[place])
            course.keys[place] = before
            keys.append((one_by_one, before))
        return keys

    def _polls(self, keys: Sequence[Key]) -> Key:
        """Ask one by one, ever more slowly, until one is admitted; the key that is back, or was to be.

        Of two keys that were filled one shortly after the other each is asked every second
        time: denials may put off when a key comes back. The other one is asked when one is
        back: it is, too, unless they do.
        """
        turn, full_ns = 0, keys[0][1][0].received_ns
        at_ns = full_ns
        later_ns = full_ns - keys[-1][1][0].sent_ns
        in_turn_ns = full_ns + max(_TURNS_NS, _LONGER * later_ns)
        for delay_ns in self._delays_ns:
            at_ns = self._sender.now_ns() + delay_ns
            if at_ns > in_turn_ns:
                turn = (turn + 1) % len(keys)
            poll = self._poll(*keys[turn], at_ns)
            if not poll or poll[0].admitted:
                break
        if len(keys) > 1 and at_ns > in_turn_ns:
            self._poll(*keys[1 - turn], at_ns + later_ns + (at_ns - full_ns) // _SURELY)
        return keys[turn]

    def _poll(self, hit: Hit, key: list[Seen], at_ns: int) -> Sequence[Seen]:
        poll = hit(1, at_ns, 1) if at_ns <= self._spending.end_ns and self._spending.left else []
        key += poll
        return poll

    def _again(self, hit: Hit) -> list[Seen]:
        """Fill the key that just came back, and wait again: now a clock shows how long its window is."""
        limit, at_ns = self._course.limit, self._sender.now_ns()
        end_ns = at_ns + (self._spending.end_ns - at_ns) // _SECOND_TIME
        if self._spending.left < _SECOND_TIME * limit:
            return []
        key = volleys(hit(1, at_ns, 1))
        if limit > 1 and any(
            each.admitted for each in key
        ):  # else what comes back does so one by one
            key += volleys(hit(limit - 1, at_ns, limit - 1))
        if not any(each.denied for each in key):
            return key
        for delay_ns in self._delays_ns:
            at_ns += 5 * delay_ns // 4  # between those of the first time
            poll = hit(1, at_ns, 1) if at_ns < end_ns and self._spending.left else []
            key += poll
            if not poll or poll[0].admitted:
                break
        self._course.again_ns = key[-1].received_ns - key[0].sent_ns
        return key

    def _later(self, hit: Hit, size: int) -> list[Seen]:
        """Fill a count that everybody shares once more, when all of it is back: others had used it up."""
        sender, course = self._sender, self._course
        course.limit, used = course.burst, course.keys[-2]
        course.keys[-1] = polled = list(course.keys[-1])
        self._polls([(hit, polled)])
        if not polled[-1].admitted or self._spending.left < size:
            return []
        now_ns = sender.now_ns()
        idle_ns = max(_WHOLE, course.burst) * (polled[-1].received_ns - used[0].sent_ns)
        at_ns = now_ns + min(idle_ns, (self._spending.end_ns - now_ns) // _PATIENCE)
        course.keys.append(volleys(hit(size, at_ns, size)))
        return list(course.keys[-1])

    def _alone(self, most: int) -> list[Seen]:
        """A fresh key on one connection, until its first denial."""
        sender, course = self._sender, self._course
        history = sender.search(min(most, self._spending.left), ())
        course.keys.append(condensed(volleys(history), _PARTS))
        course.burst = sum(seen.admitted for seen in history)
        course.alone = max(course.alone, course.burst * history[-1].denied) if history else 0
        course.shared |= bool(history) and not history[0].admitted
        return history

    def _burst(self, size: int) -> tuple[Hit, list[Seen]]:
        """Fresh keys, each with more requests at once than the one before, until one denies."""
        course = self._course
        while True:
            hit, size = self._sender.hitter(fresh=True), min(size, self._spending.left)
            seen = (
                volleys(hit(size, 0, size)) if size > course.burst else []
            )  # else they tell nothing
            if not seen:
                return hit, seen
            if any(each.denied for each in seen):
                course.connections = size
                course.follow(seen)
                return hit, seen
            course.keys.append(seen)
            course.burst = max(course.burst, sum(each.admitted for each in seen))
            size *= 2

    def _stuck(self, alone: Sequence[Seen], filled: Seen, back: Seen | None) -> None:
        """Find out if many connections get more than one, time and again: there are several counters."""
        course = self._course
        least, most, beyond, asked = course.limit, 0, 0, 0
        for tries in range(_AGAIN + 1):
            if tries:
                size = 2 * course.limit
                if self._spending.left < 2 * size:
                    return
                alone = self._alone(course.limit + 2)
                _, seen = self._burst(size)
                if not seen:
                    return
                together = sum(each.admitted for each in seen)
                own = sum(each.admitted for each in alone)
                beyond, asked = beyond + together - own, asked + course.connections - own
                least = min(least, together)
                course.limit = min(
                    course.limit, max(1, least)
                )  # more, and some came back meanwhile
            if not alone or not alone[-1].denied:
                return
            most = max(most, sum(each.admitted for each in alone))
            if least <= most:
                return
        denials = denials_beyond_chance(beyond, asked)
        if denials > RUN:  # others add too little for that
            return
        polled = self._sender.search(most + 2 + ceil(denials), [1] * ceil(denials))
        if (
            polled and polled[-1].admitted
        ):  # on the same connection, at once: another counter has room
            self._roams = True
            return
        high_ns = back.received_ns - filled.sent_ns if back else None
        course.several = Several(most, least, None, course.held_ns, high_ns, sticky=True)

    def scatter(self) -> None:
        """Find out if the requests of one key meet several counters."""
        sender, course = self._sender, self._course
        if not sender.reconnecting and self._one():
            return
        for _ in range(_SCATTERS):  # a key may fill all of them at once, or one after the other
            before = sender.requests
            most = min(self._spending.left // 2, _SCATTERED * course.limit + _SCATTERING)
            searched = sender.search(most // 2, [*[1] * _AT_ONCE, *self._delays_ns])
            if any(seen.denied for seen in searched) and searched[0].admitted:
                most -= sender.requests - before
                hit, end_ns = sender.hitter(fresh=True), self._spending.end_ns
                if found := several(hit, searched, most, end_ns, self._delays_ns):
                    course.several = found
                    break

    def _one(self) -> bool:
        """Tell if a key that is asked until every counter has denied gets no more than one, but for what comes back.

        One that met all counters evenly is denied as late as with one: so it is asked of other keys, too.
        """
        course = self._course
        size = course.limit + RUN
        if self._spending.left < (2 + _AGAIN) * size:
            return False
        limit = min(course.limit, course.alone)
        for _ in range(_AGAIN):
            alone = self._sender.search(course.limit + 1, ())
            course.keys.append(condensed(volleys(alone), _PARTS))
            if alone and alone[-1].denied:
                limit = min(limit, sum(each.admitted for each in alone))
        _, seen = self._burst(size)
        if not seen:
            return False
        took_ns = seen[-1].received_ns - seen[0].sent_ns
        back = took_ns // max(course.held_ns, course.back_ns // 2)
        return sum(each.admitted for each in seen) <= limit + 1 + back

    def soon(self, recovery: Recovery) -> bool:
        """Tell if a key, or the one that was filled at once, came back at once, and may not have filled every counter."""
        at_once = self._course.held_ns < _SOON_NS and recovery.denied < RUN
        return self._roams or at_once


def delays(horizon_ns: int, hints_ns: Iterable[int]) -> list[int]:
    """Pauses between polls: their instants grow by a third, and lie around each hint."""
    instants, at_ns = set[int](), _FIRST_DELAY_NS
    while at_ns < horizon_ns:
        instants.add(at_ns)
        at_ns += at_ns // 3
    for hint_ns in hints_ns:
        edge_ns = hint_ns // _HINT_EDGE
        instants |= {max(1, hint_ns - edge_ns), hint_ns + edge_ns}
    ordered = sorted(instant for instant in instants if instant <= horizon_ns)
    return [after - before for before, after in zip([0, *ordered], ordered, strict=False)]
