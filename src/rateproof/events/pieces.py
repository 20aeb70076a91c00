"""A log in files by key, which are judged one after the other."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from rateproof.errors import LogError
from rateproof.events.facts import Facts, Stretch
from rateproof.events.impossible import refuse_equal_rows
from rateproof.events.log import Event, EventLog
from rateproof.events.parquet_reader import opened
from rateproof.events.progress import Progress
from rateproof.events.reading_ahead import ahead
from rateproof.events.workplace import Workplace

WHERE: Final = "intended_ns"
"""In a piece, the number of the row in the whole log: nobody asks there when it was to be sent."""


Found = TypeVar("Found")
Run = Callable[[Callable[[int], Any], Sequence[int]], Iterable[tuple[int, Any]]]
"""Gives each of these numbers with the result of a work on its piece, in any order."""


def _silent(_: str) -> None: ...


class _Elsewhere(dict[str, Any]):
    """The columns of a log that has them in files."""

    def __missing__(self, name: str) -> Any:
        raise LookupError(f"the column {name} is in pieces")


class Pieces(EventLog):
    """A log in files, each of which has all requests of its keys; the whole is never in memory.

    A key that does not fit in memory has several, each with a stretch of its time. A row is named by
    its piece and its place there.

    Args:
        files: the files of each piece that has requests, by its number: one or more, in order.
        facts: what is known of the whole.
        metadata: of the whole, and of each piece, where what it says may not be seen.
        say: tells people how far the judging is.
        run: has the pieces worked on; None: here, each while the next is read.
        place: where results are kept, in case that this process is killed; None: nowhere.
    """

    __slots__ = ("_facts", "_last", "_place", "_say", "explained", "files", "run")

    def __init__(
        self,
        files: Mapping[int, Sequence[Path]],
        facts: Facts,
        metadata: Mapping[str, Any],
        say: Callable[[str], None] = _silent,
        *,
        run: Run | None = None,
        place: Workplace | None = None,
    ) -> None:
        super().__init__(dict(metadata), _Elsewhere(), facts.rows)
        self.files, self._facts, self._say, self.run = files, facts, say, run
        self._place = place
        self._last: tuple[int, EventLog] | None = None
        self.explained: dict[int, tuple[bool, bool]] = {}
        """By the first piece of a key that has several: whether its admissions are explained, and all of it."""

    def found(self, name: str, find: Callable[[Self], Any]) -> Any:
        """The answers of the whole, the one thing that is asked of it."""
        return self._facts.kinds if name == "answers" else find(self)

    def noting(self, **metadata: Any) -> Self:
        """The same requests, of which this is true as well."""
        known = self.metadata | metadata
        given = self.files, self._facts, known, self._say
        return type(self)(*given, run=self.run, place=self._place)

    def same(self, name: str) -> Any:
        """The run of all requests; None of another column."""
        return self._facts.run if name == "run" else None

    def distinct(self, name: str) -> frozenset[int]:
        """Every length of an answer."""
        return frozenset(self._facts.distinct[name])

    @property
    def numbered(self) -> bool:
        """True if requests have numbers of their own."""
        return self._facts.numbered

    @property
    def has_stretches(self) -> bool:
        """True if a key has several pieces."""
        return bool(self._facts.stretches)

    @property
    def most_rows(self) -> int:
        """Requests of the largest piece, or of a key that has several."""
        return max(sum(of for _, of in own) for own in self._facts.alone())

    @property
    def longest_ns(self) -> int:
        """The longest time that any answer took."""
        return max((of.longest_ns or 0 for of in self._facts.kinds.values()), default=0)

    @property
    def reach_ns(self) -> int:
        """The time before and after it for which a stretch of a key is read with all that was sent."""
        found: int = self.metadata.get("reach_ns", 0)
        return found

    def reach(self, reach_ns: int) -> None:
        """Have it so long, or longer."""
        self.metadata["reach_ns"] = max(reach_ns, self.reach_ns)

    def stretch(self, number: int) -> Stretch | None:
        """The stretch that a piece is of a key; None where it has all of its keys."""
        return self._facts.stretch(number, self.reach_ns)

    def rows_of(self, number: int) -> int:
        """Requests of a piece, or of a key that has several."""
        return sum(self._facts.of_piece[own] for own in self._facts.of_key(number))

    def leave_out(self, most_rows: int, hint: str) -> None:
        """Leave out the pieces with more rows than that; `hint` says what would have room."""
        self._facts.most_rows, self._facts.hint = most_rows, hint

    def explained_with(self, number: int) -> tuple[bool, bool]:
        """True where the admissions of a key in several pieces are explained, and then if all of it is."""
        return self.explained.get(self._facts.of_key(number).start, (False, False))

    @property
    def stretched(self) -> list[range]:
        """The pieces of every key that has several."""
        stretches = self._facts.stretches
        return [self._facts.of_key(one) for one, (place, _) in stretches.items() if not place]

    def unjudged(self, *, rejections: bool) -> str | None:
        """The requests that are not judged as a whole, in a sentence; None where all are.

        Args:
            rejections: whether rejections are to be judged.
        """
        judged, facts = self.judged, self._facts
        rows = sum(of for number, of in facts.of_piece.items() if number not in judged)
        apart = 0
        for own in self.stretched:
            admitted, rejected = self.explained_with(own.start)
            if not admitted or (rejections and not rejected):
                apart += sum(judged.get(number, 0) for number in own)
        told = []
        if rows:
            told.append(f"{rows:,} requests were not judged")
        if apart:
            told.append(f"{apart:,} requests were judged in stretches of time, not together")
        if not told:
            return None
        return (
            f"{' and '.join(told)}: they are of clients with so many that these do not fit in "
            f"memory; {self._facts.hint}"
        )

    def spread(self, work: "Callable[[Pieces, int], Found]", question: object) -> Iterator[Found]:
        """The results of a work on every piece that is not left out, in any order, as people are told.

        Those that a process kept which was killed are not made again.

        Args:
            work: the work.
            question: what it finds out, apart from the piece; its `repr` says all of it.

        Raises:
            LogError: as of `piece`.
        """
        run = self._in_turn if self.run is None else self.run
        asked = sha256(f"{question!r} {json.dumps(self.metadata)}".encode()).hexdigest()
        left, judged = list[int](), self.judged
        for number in judged:
            kept = None if self._place is None else self._place.kept(f"{asked}-{number}")
            if kept is None:
                left.append(number)
            else:
                yield kept
        if len(left) < len(judged):
            self._say(f"{len(judged) - len(left)} of {len(judged)} pieces were judged by then")
        progress, done = Progress("judging", sum(judged[number] for number in left), self._say), 0
        for number, found in run(partial(work, self), left):
            if self._place is not None:
                self._place.keep(f"{asked}-{number}", found)
            yield found
            done += judged[number]
            progress.at(done)

    def _in_turn(
        self, work: Callable[[int], Found], numbers: Sequence[int]
    ) -> Iterator[tuple[int, Found]]:
        for number, log in ahead((number, self._read(number)) for number in numbers):
            self._last = number, log
            del log
            yield number, work(number)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: it says nothing, and works on pieces itself."""
        return type(self), (self.files, self._facts, self.metadata)

    @property
    def judged(self) -> dict[int, int]:
        """The requests of each piece that is not left out, by its number."""
        return {
            number: rows
            for number, rows in self._facts.of_piece.items()
            if self._facts.fits(self._read_with(number))
        }

    def _read_with(self, number: int) -> int:
        """Rows that are read for a piece."""
        stretch = self.stretch(number)
        numbers = [number] if stretch is None else stretch.numbers
        return sum(self._facts.of_piece[own] for own in numbers)

    def own(self, number: int) -> EventLog:
        """The requests of one piece, and of a stretch its own.

        Raises:
            LogError: it is damaged or gone.
        """
        if self.stretch(number) is None:
            return self.piece(number)
        return self._whole(number, self.files[number], self._facts.of_piece[number])

    def piece(self, number: int) -> EventLog:
        """The requests of one piece, of a stretch with those around it; the last one is kept.

        Raises:
            LogError: it is damaged or gone, or has a request twice.
        """
        if self._last is None or self._last[0] != number:
            self._last = None  # never two at once
            self._last = number, self._read(number)
        return self._last[1]

    def _read(self, number: int) -> EventLog:
        stretch = self.stretch(number)
        numbers = [number] if stretch is None else stretch.numbers
        files = [file for own in numbers for file in self.files[own]]
        from_ns, until_ns = (None, None) if stretch is None else (stretch.from_ns, stretch.until_ns)
        first_ns = -inf if from_ns is None else from_ns - self.reach_ns
        last_ns = inf if until_ns is None else until_ns + self.reach_ns
        log = self._whole(number, files, self._read_with(number), first_ns, last_ns)
        refuse_equal_rows(log, self._name(number))
        return log

    def _name(self, number: int) -> str:
        return f"piece {number} of {len(self.files)} that the log was split into"

    def _whole(
        self,
        number: int,
        files: Sequence[Path],
        rows: int,
        first_ns: float = -inf,
        last_ns: float = inf,
    ) -> EventLog:
        """The rows of these files, of which there are so many; all that were sent in this time, at least."""
        name = self._name(number)
        try:
            with opened(*files) as file:
                there = 0 if file is None else file.rows
                log = EventLog() if file is None else file.read(file.within(first_ns, last_ns))
        except (OSError, LogError) as error:
            told = error.message if isinstance(error, LogError) else error.strerror
            problem = f"{name} was damaged or removed meanwhile: {told}"
            raise LogError(problem, "the log itself is as it was: check it again") from error
        if there != rows:
            raise LogError(f"{name} has lost requests meanwhile", "check the log again")
        return log.noting(**self.metadata)

    def name_of(self, number: int, row: int) -> int:
        """The name of a row of a piece."""
        return number << 40 | row

    def place_of(self, event: Event) -> int:
        """The number of a request's row in the whole log."""
        return event.intended_ns or 0

    def __getitem__(self, index: int) -> Event:
        return self.piece(index >> 40)[index & (1 << 40) - 1]
