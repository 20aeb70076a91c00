"""The facts of a log in pieces: what is known of the whole, and which requests each piece has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from rateproof.errors import LogError
from rateproof.events.columns import NULL
from rateproof.events.judged import AnswerKind, Tally, answers
from rateproof.events.log import EventLog


class RowFile(NamedTuple):
    """A file of rows, of some keys or of a stretch of time of one that does not fit in memory.

    Args:
        path: the file.
        rows: in it.
        place: among the stretches of its key, in order of time; None: it has all of its keys.
        from_ns: when the first request of the stretch was sent, at the earliest.
    """

    path: Path
    rows: int
    place: int | None = None
    from_ns: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The requests of a key from one time to another, with those before and after that matter.

    Args:
        numbers: of the pieces that it is read from.
        first_ns: when the first request of the key was sent.
        from_ns: when its own begin; None: it is the first.
        until_ns: when those of the next begin; None: it is the last.
    """

    numbers: range
    first_ns: int
    from_ns: int | None
    until_ns: int | None


@dataclass(slots=True)
class Facts:
    """The facts of a whole log, known once each of its rows was seen."""

    rows: int = 0
    kinds: dict[AnswerKind, Tally] = field(default_factory=dict)
    run: int | None = None
    numbered: bool = False
    distinct: dict[str, set[int]] = field(default_factory=lambda: {"bytes": set()})
    of_piece: dict[int, int] = field(default_factory=dict)
    stretches: dict[int, tuple[int, int]] = field(default_factory=dict)  # place and beginning
    undecided: set[int] = field(default_factory=set)
    most_rows: int | None = None  # of a piece that is judged
    hint: str = ""

    def keep(self, parts: Sequence[RowFile]) -> dict[int, Sequence[Path]]:
        """Number the parts of the log as its pieces; the files of each."""
        self.of_piece = {number: part.rows for number, part in enumerate(parts)}
        self.stretches = {
            number: (part.place, part.from_ns)
            for number, part in enumerate(parts)
            if part.place is not None
        }
        return {number: (part.path,) for number, part in enumerate(parts)}

    def of_key(self, number: int) -> range:
        """Number every piece of a key that has several; of others, the piece itself."""
        if number not in self.stretches:
            return range(number, number + 1)
        first = number - self.stretches[number][0]
        until = number + 1
        while until in self.stretches and self.stretches[until][0]:
            until += 1
        return range(first, until)

    def alone(self) -> Iterator[list[tuple[int, int]]]:
        """The pieces that no key is in several of, each with its rows; and those of each such key."""
        for number in self.of_piece:
            if not self.stretches.get(number, (0, 0))[0]:
                yield [(own, self.of_piece[own]) for own in self.of_key(number)]

    def stretch(self, number: int, reach_ns: int) -> Stretch | None:
        """The stretch that a piece is, read with what was sent so long before it and after it."""
        if number not in self.stretches:
            return None
        own = self.of_key(number)
        begins = {one: self.stretches[one][1] for one in own}
        first, last = number, number
        while first > own.start and begins[first] > begins[number] - reach_ns:
            first -= 1
        until_ns = begins.get(number + 1)
        while last + 1 in begins and begins[last + 1] <= begins[number + 1] + reach_ns:
            last += 1
        from_ns = None if number == own.start else begins[number]
        return Stretch(range(first, last + 1), begins[own.start], from_ns, until_ns)

    def fits(self, rows: int) -> bool:
        """Tell whether a piece of so many rows is judged."""
        return self.most_rows is None or rows <= self.most_rows

    @classmethod
    def of(cls, log: EventLog) -> Self:
        """The facts of some rows."""
        told = answers(log)
        return cls(
            rows=len(log),
            kinds=dict(told),
            numbered=not {0, NULL}.issuperset(log.extremes("sequence") or ()),
            distinct={"bytes": set(log.distinct("bytes"))},
            undecided=set(log.metadata.get("undecided_statuses", ())),
        )

    def add(self, more: Self, name: str) -> None:
        """Take in the facts of the rows that come next.

        Raises:
            LogError: the log is of several runs.
        """
        self.rows += more.rows
        for answer, (times, longest_ns) in more.kinds.items():
            known, longest = self.kinds.get(answer, Tally(0, None))
            both = [one for one in (longest, longest_ns) if one is not None]
            self.kinds[answer] = Tally(known + times, max(both, default=None))
        runs = {answer.run for answer in self.kinds}
        if len(runs) > 1:
            raise LogError(
                f"{name} has several runs, and does not fit in memory as a whole",
                "a log that is judged in pieces is of one run; or give it more --memory",
            )
        (self.run,) = runs
        self.numbered |= more.numbered
        self.distinct["bytes"] |= more.distinct["bytes"]
        self.undecided |= more.undecided

    def noted(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of the whole log, with what rows showed of it."""
        undecided = sorted(self.undecided)
        return {**metadata, "undecided_statuses": undecided} if undecided else dict(metadata)
