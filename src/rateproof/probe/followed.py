"""Keys that are followed as their answers come: when each one's windows begin is known ever more closely.

They are followed at the same time. How long a window is they have in common, when theirs begin
they have not. Full windows alone do not tell a rule in which what was used puts off the next, so
they are used in part, at their ends and at once, after an idle time and after denials, too.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import combinations
from typing import TypeAlias

from rateproof.probe.budget import Spending
from rateproof.probe.inference import Kind
from rateproof.probe.seen import GRANULARITY_NS, Seen
from rateproof.probe.sending import Sender
from rateproof.probe.several import Hit

_Asks: TypeAlias = Generator[tuple[int, int], Sequence[Seen], None]
"""Instants and requests, for what comes of them; no requests: to go on then."""

_FIRST, _LATER, _REQUESTS = 14, 8, 4
"""Polls of a window that is hardly known, and of what is known of a later one; one more for each so many of the limit."""
_FINE, _ROUGH, _FINEST = 64, 12, 1000
"""Parts of a window: when it begins is foretold if that is known so closely, or at last, no more roughly; and what is learned of it may be off."""
_NEAR = 20  # parts of a window: two keys that begin theirs closer than that may share an instant
_ROW = 10  # denials, twice
_IDLE = 2  # the window that is used next, after that in which a key came back
_APART = 0.4  # of a window: the second key is filled so much later
_MOST = 8  # windows in which a key is followed
KEYS = 5
"""So many are followed at most: all but two of them begin their windows as the first."""


class LostError(Exception):
    """It is not known when a key comes back: it was not full, or never did."""


@dataclass(slots=True)
class Length:
    """The bounds of the length of a window, in ns, as all keys that are followed tell them together."""

    low_ns: int
    high_ns: int


@dataclass(slots=True)
class Followed:
    """A key that is followed.

    Args:
        limit: N.
        window: the bounds of its length, which other keys tell, too.
        answer_ns: how long one answer takes.
        width_ns: how long all answers take to as many requests as fill it.
        seen: what came of it.
        begins: between which instants its windows began, by number.
        foretold: it came back as closely as it was foretold, after all else was asked.
    """

    limit: int
    window: Length
    answer_ns: int
    width_ns: int
    seen: list[Seen] = field(default_factory=list)
    begins: dict[int, tuple[int, int]] = field(default_factory=dict)
    foretold: bool = False

    @property
    def margin_ns(self) -> int:
        """The time from where a window may begin: answers are widened, and what is learned of it is a little less close."""
        return 2 * GRANULARITY_NS + self.window.low_ns // _FINEST

    @property
    def close_ns(self) -> int:
        """The bounds of an instant may be so far apart that it is foretold before one of N comes back, if they do one by one."""
        return self.window.low_ns // self.limit - 2 * self.margin_ns - self.answer_ns

    @property
    def tells(self) -> bool:
        """True if answers are quick enough for that."""
        return self.close_ns > self.answer_ns

    def begin(self, number: int) -> tuple[int, int]:
        """Between which instants a window begins, as far as that is known."""
        low_ns, high_ns = self.window.low_ns, self.window.high_ns
        known = [(number - other, *bounds) for other, bounds in self.begins.items()]
        return (
            max(early_ns + later * low_ns for later, early_ns, _ in known),
            min(late_ns + later * high_ns for later, _, late_ns in known),
        )

    def busy(self, at_ns: int) -> _Asks:
        """Use all of each window: at once, in two parts, at once again, with denials, and at its end, and once more at once."""
        limit = self.limit
        yield from self._begun(at_ns)
        yield 0, limit
        yield from self._found(1)
        if limit > 2:
            yield self._amid(1, 1), limit - 2
        yield self._end(1), 2
        yield from self._found(2)
        yield 0, limit
        for part in (2, 3):
            yield self._amid(2, part), _ROW
        yield from self._found(3)
        yield self._end(3), limit + 1
        yield from self._told(4, limit + 1)

    def idle(self, at_ns: int, other: "Followed") -> _Asks:
        """Leave it alone for windows, use the end of one in part, and all of the next at once; not where it begins as another key does."""
        number = _IDLE
        yield from self._begun(at_ns)
        at_ns = self.seen[-1].received_ns
        while len(other.begins) < 2:
            at_ns += self.window.low_ns // _FIRST
            yield at_ns, 0
        near_ns = self.window.low_ns // _NEAR
        if any(abs(low_ns + high_ns) < 2 * near_ns for low_ns, high_ns in _between(other, self)):
            return
        while (end_ns := self._end(number)) > at_ns:  # until then, other keys tell more
            yield end_ns, 0
            at_ns = end_ns
            early_ns, late_ns = self.begin(number + 1)
            number += 2 * (late_ns - early_ns) > self.window.low_ns and number < _MOST
        yield end_ns, (self.limit + 1) // 2
        yield self.begin(number + 1)[1] + self.margin_ns, self.limit + 1
        yield from self._told(number + 2, 1)

    def _begun(self, at_ns: int) -> _Asks:
        """Fill it, and ask until it comes back."""
        filled = yield at_ns, self.limit + 1
        yield from self._polled(0, filled[-1].sent_ns, filled[-1].received_ns + self.window.high_ns)

    def _found(
        self, number: int, first: int = 1, near_ns: int = 0
    ) -> Generator[tuple[int, int], Sequence[Seen], bool]:
        """Ask when a window begins of a key that is full; tell if it was foretold."""
        early_ns, late_ns = self.begin(number)
        if late_ns - early_ns > (near_ns or max(self.window.low_ns // _FINE, 2 * self.answer_ns)):
            yield from self._polled(number, early_ns, late_ns)
            return False
        (before,) = yield early_ns - self.margin_ns - self.answer_ns, 1
        after = yield late_ns + self.margin_ns, first
        back = not before.admitted and any(seen.admitted for seen in after)
        if back:
            self._note(number, before.sent_ns, max(seen.received_ns for seen in after))
        return back

    def _told(self, number: int, first: int) -> _Asks:
        """Ask just before and after it comes back, once that is known closely."""
        while number < _MOST and not self.foretold:
            rough_ns = max(self.window.low_ns // _ROUGH, 2 * self.answer_ns)
            near_ns = max(1, min(self.close_ns, rough_ns))
            self.foretold = yield from self._found(number, first, near_ns)
            if not self.foretold:
                if not self.tells:
                    return
                yield 0, self.limit
            number += 1

    def _amid(self, number: int, part: int) -> int:
        early_ns, late_ns = self.begin(number)[1], self.begin(number + 1)[0]
        return early_ns + part * (late_ns - early_ns) // 5

    def _end(self, number: int) -> int:
        """The instant at which it is filled at the end of a window, before it is asked if it is full."""
        return self.begin(number + 1)[0] - self.width_ns - 2 * (self.answer_ns + self.margin_ns)

    def _polled(self, number: int, early_ns: int, late_ns: int) -> _Asks:
        """Ask ever again until it is back; the more slowly, the longer that takes, where it is not known when."""
        window_ns, at_ns = self.window.low_ns, early_ns
        known = 2 * (late_ns - early_ns) <= window_ns
        polls = (_LATER if known else _FIRST) + self.limit // _REQUESTS
        step_ns = max(self.answer_ns // 2, (late_ns - early_ns if known else window_ns) // polls)
        since_ns = max((begun_ns for begun_ns, _ in self.begins.values()), default=early_ns)
        while not (denied := self.seen[-1]).admitted:
            (poll,) = yield at_ns, 1
            if poll.admitted:
                return self._note(
                    number, max(early_ns, denied.sent_ns), min(late_ns, poll.received_ns)
                )
            if poll.sent_ns > late_ns:
                break
            at_ns = poll.sent_ns + step_ns
            if not known:
                at_ns = max(at_ns, poll.sent_ns + (poll.sent_ns - since_ns) // polls)
        raise LostError

    def _note(self, number: int, early_ns: int, late_ns: int) -> None:
        """Note when a window begins, and what that says of its length."""
        window = self.window
        for other, (from_ns, until_ns) in self.begins.items():
            windows = number - other
            window.low_ns = max(window.low_ns, (early_ns - until_ns) // windows)
            window.high_ns = min(window.high_ns, -(-(late_ns - from_ns) // windows))
        if window.low_ns > window.high_ns:
            raise LostError
        self.begins[number] = early_ns, late_ns


def follow(
    kind: Kind, sender: Sender, spending: Spending, answer_ns: int, width_ns: int
) -> list[Followed]:
    """Follow two keys, begun at different parts of a window, as long as there is time.

    Where the second begins its windows as the first, or as much later as it was filled, another
    one is followed instead.
    """
    window = Length(kind.low_ns, kind.high_ns)
    keys, hits, asking = list[Followed](), list[Hit](), list[_Asks]()
    waiting = list[tuple[int, int, int]]()

    def begin(at_ns: int) -> None:
        key = Followed(kind.limit, window, answer_ns, width_ns)
        asks = key.idle(at_ns, keys[0]) if keys else key.busy(at_ns)
        heappush(waiting, (*next(asks), len(keys)))
        keys.append(key)
        hits.append(sender.hitter(fresh=True))
        asking.append(asks)

    begin(sender.now_ns())
    begin(sender.now_ns() + int(_APART * window.low_ns))
    while waiting:
        at_ns, requests, place = heappop(waiting)
        if at_ns > spending.end_ns or requests > spending.left:
            break
        seen = hits[place](requests, at_ns, requests) if requests else []
        if len(seen) < requests:
            break
        keys[place].seen += seen
        try:
            heappush(waiting, (*asking[place].send(seen), place))
        except LostError:
            continue
        except StopIteration:
            if len(keys[place].begins) == 1 and len(keys) < KEYS:
                begin(sender.now_ns())
    return [key for key in keys if key.seen]


def differ(keys: Sequence[Followed]) -> bool:
    """Tell if windows begin neither at one phase nor so long after a key was filled, on two keys that were foretold."""
    foretold = [key for key in keys if key.foretold]
    return any(
        all(
            low_ns > GRANULARITY_NS or high_ns < -GRANULARITY_NS
            for low_ns, high_ns in _between(*two)
        )
        for two in combinations(foretold, 2)
    )


def _between(one: Followed, other: Followed) -> Iterator[tuple[int, int]]:
    """The bounds of the time from where a window of one begins until one of the other does, and of how much that is later than it was filled."""
    (early_ns, late_ns), (from_ns, until_ns) = (
        min(map(key.begin, key.begins), key=lambda bounds: bounds[1] - bounds[0])
        for key in (one, other)
    )
    window = one.window
    for later_ns in 0, other.seen[0].sent_ns - one.seen[0].sent_ns:
        low_ns, high_ns = from_ns - later_ns - late_ns, until_ns - later_ns - early_ns
        windows = round((low_ns + high_ns) / (window.low_ns + window.high_ns))
        few_ns, most_ns = sorted((windows * window.low_ns, windows * window.high_ns))
        yield low_ns - most_ns, high_ns - few_ns
