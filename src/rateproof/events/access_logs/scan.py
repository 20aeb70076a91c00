"""A log being read: pieces of files in, chunks of columns out, in memory for one of them."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Final

from rateproof.core import required_native
from rateproof.errors import LogError
from rateproof.events.access_logs.clients import Clients
from rateproof.events.access_logs.identity import identities
from rateproof.events.access_logs.reading import CLOCK_LAG_NS, Reading, scanner_of
from rateproof.events.access_logs.recognition import format_of, introduction, shown
from rateproof.keyspec import Part
from rateproof.output import printable, say
from rateproof.units import format_duration

_JUMP_NS: Final = 29 * 60 * 10**9  # the least by which summer time sets a clock is half an hour
_MOST_STRANGE: Final = 100  # one line in so many
_SAMPLED: Final = 1_000
_NONE: Final = "--where, --since and --until say which; the first line on stderr shows a request"
UNDECIDED: Final = (400, 408, 413, 414, 421, 431, 444, 494, 495, 496, 497, 499)
"""Statuses of requests that may have ended before any limiter saw them: not understood, too large,
not whole, dropped (nginx: 444), or given up by the client (nginx: 494 to 499)."""

LIMITERS_503: Final = (
    "a 503 taken for a rejection is the limiter's, no failing server's (else --rejected 429)"
)
"""The assumption on rejections, where no answer is 429 and nobody says what a rejection is."""

_ROWS: Final = {"sent_ns", "received_ns", "status", "line", "groups", "hashes"}
_SPLIT: Final = "split the file there, and judge each part by itself"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Requests in order of their lines, a row each.

    Args:
        sent_ns: the earliest instant at which each was decided.
        received_ns: the latest one.
        status: `columns.NULL` where no answer was sent.
        line: its number in the log.
        keys: the code of its client.
        words: clients; the first has code 0, or follows those of earlier chunks if codes are kept.
        hashes: of each field that is hashed: the hash of its value.
    """

    sent_ns: Sequence[int]
    received_ns: Sequence[int]
    status: Sequence[int]
    line: Sequence[int]
    keys: Sequence[int]
    words: list[bytes]
    hashes: tuple[Sequence[int], ...] = ()


class Scan:
    """A log that is being read.

    Args:
        begun: its first lines, which show the format.
        name: of the log, for messages.
        reading: how.
        hashed: names of fields of which chunks have hashes, each or what else has it; nothing
            of those that the format lacks.

    Raises:
        InvalidArgument: there is no native core, or the format has not what is asked for.
        LogError: it is of no known format.
    """

    def __init__(
        self,
        begun: Sequence[bytes],
        name: str,
        reading: Reading,
        hashed: Sequence[tuple[str, ...]] = (),
    ) -> None:
        required_native("reading an access log")
        self.name, self.reading = name, reading
        parts = [part for parts in reading.key.alternatives for part in parts]
        found = reading.format or format_of(begun, name)
        self.format = found.reaching([*parts, *_parts_of(reading)])
        self.introduction = introduction(self.format, begun, reading)
        place = identities(reading.key, self.format, reading.address, reading.header)
        groups = [place.fields]
        self._holds: Callable[[Sequence[bytes]], bool] | None = None
        if reading.where is not None:
            fields, self._holds = reading.where.place(self.format, reading.address, reading.header)
            groups.append(fields)
        self._clients = Clients(place.read)
        places = [self.format.place(*names) for names in hashed]
        self._hashed = [
            None if at is None else places[:number].count(None) for number, at in enumerate(places)
        ]
        self._scanner = scanner_of(
            self.format, reading, groups, [at for at in places if at is not None]
        )
        self._files: list[tuple[int, str]] = []
        self._statuses: set[int] = set()
        self._first_ns: int | None = None
        self._last_ns = self._quiet_ns = 0
        self._width_ns = 1
        self.rows = self.counted = self.keyless = 0
        self.found: dict[str, Any] = {}
        """Facts of the log as a whole, as of the last chunk."""

    def feed(self, piece: bytes) -> None:
        """Read the next bytes, cut anywhere."""
        self._scanner.feed(piece)

    @property
    def held(self) -> int:
        """Requests since the last chunk."""
        rows: int = self._scanner.held()
        return rows

    def end(self, name: str) -> None:
        """End a file, of which all has been read."""
        self._files.append((self._scanner.end(), name))

    def take(self, *, keep: bool = False) -> Chunk:
        """The requests since the last chunk.

        Args:
            keep: clients keep their codes, and the chunk has the words of new ones. Else they are
                numbered anew, and the memory of earlier ones is free.

        Raises:
            LogError: the columns of the log have changed.
        """
        found = self._scanner.take(keep)
        self.found = {name: told for name, told in found.items() if name not in _ROWS}
        if found["turned"]:
            number, line = found["turned"]
            raise LogError(
                f"{self.name}, {self._line(number)}: other columns from here on: {shown(line)}",
                _SPLIT,
            )
        (codes, words), *others = found["groups"]
        keys: Sequence[int] = memoryview(codes).cast("i")
        of = self._clients.codes(words, keep=keep)
        if of is not None:
            keys = array("i", map(of.__getitem__, keys))
        columns = [
            memoryview(found[name]).cast("q")
            for name in ("sent_ns", "received_ns", "status", "line")
        ]
        self._note(columns[0], columns[1], columns[2])
        hashes = [memoryview(one).cast("I") for one in found["hashes"]]
        kept: Sequence[int] = range(len(keys))
        if self._holds is not None:
            [(codes, words)] = others
            holds = [self._holds(word.split(b"\n")) for word in words]
            kept = [row for row, code in enumerate(memoryview(codes).cast("i")) if holds[code]]
        kept = self._within(kept, columns[0], columns[1])
        self.rows += len(keys)
        self.counted += len(kept)
        if self._clients.nameless:
            asked = len(kept)
            kept = [row for row in kept if keys[row] >= 0]
            self.keyless += asked - len(kept)
        if len(kept) < len(keys):
            columns = [memoryview(array("q", map(column.__getitem__, kept))) for column in columns]
            hashes = [memoryview(array("I", map(column.__getitem__, kept))) for column in hashes]
            keys = array("i", map(keys.__getitem__, kept))
        sent, received, status, line = columns
        nothing = memoryview(bytes(4 * len(keys))).cast("I")
        told = (
            nothing if at is None else hashes[number - at] for number, at in enumerate(self._hashed)
        )
        return Chunk(sent, received, status, line, keys, self._clients.new, tuple(told))

    def refuse(self, tell: Callable[[str], None] = say) -> None:
        """Say what was left out, or that the log cannot be judged; `tell` tells people.

        Raises:
            LogError: too many lines are not understood, the clock was set back, or nothing is
                left.
        """
        if self.found["cut"]:
            tell(f"hint: {self.name} ends within a line, which is being written: left out")
        self.refuse_strange()
        if self.found["strange"]:
            tell(f"hint: {self._strange()}; they are left out")
        if self.was_set_back():
            raise LogError(
                self.set_back(),
                "a clock that was set back, local times without a zone as summer time ended, or "
                "files of several hosts (--skew): judge the parts by themselves, or sort the "
                "lines by time",
            )
        if self.rows and not self.counted:
            problem = f"{self.name}: none of its {self.rows:,} requests is of those asked for"
            raise LogError(problem, _NONE)
        if self.counted < self.rows:
            tell(f"{self.counted:,} of {self.rows:,} requests are of those asked for")
        if self.keyless and self.keyless == self.counted:
            problem = f"{self.name}: none of {self.counted:,} requests has {self.reading.key}"
            raise LogError(problem, "--key says where the client's identity lies, such as ip")
        if self.keyless:
            left_out = f"{self.keyless:,} of {self.counted:,} requests"
            tell(f"hint: {left_out} have no {self.reading.key}: left out")

    def refuse_strange(self) -> None:
        """Refuse a log of which too many lines are not understood.

        Raises:
            LogError: it is one.
        """
        few = self.found["strange"] * _MOST_STRANGE <= self.found["lines"]
        if not few and not self.reading.skip_bad:
            hint = "two formats in one file? --format names one, --skip-bad leaves these lines out"
            if self.found["strange"] == self.found["lines"]:
                hint = "no line is: leave --format out, and the lines show a known one"
            raise LogError(f"{self.name}: {self._strange()}", hint)

    def was_set_back(self) -> bool:
        """True if a line is older than what ended before it can be."""
        most_ns: int = self.longest_ns() + self.found["step_ns"]
        return bool(self.found["back_ns"] > most_ns)

    def set_back(self) -> str:
        """The line that is, in words."""
        found = self.found
        return (
            f"{self.name}, {self._line(found['back_line'])}: its request ended "
            f"{format_duration(found['back_ns'])} before one of a line above"
        )

    def longest_ns(self) -> int:
        """The longest that a request lasted: as the log notes it, or as it is assumed."""
        longest: int = max(self.reading.longest_ns, self.found["longest_ns"])
        return longest

    def complete_ns(self) -> tuple[int, int]:
        """From when until when the log has all that was decided."""
        found, reading = self.found, self.reading
        late_ns = self.longest_ns() + self.slack_ns() + found["back_ns"]
        # Where summer time may have begun an hour is missing, and nothing was quiet.
        since_ns = max((self._first_ns or 0) + found["back_ns"], self._quiet_ns)
        until_ns = found["done_ns"] - late_ns
        if reading.since_ns is not None:
            since_ns = max(since_ns, reading.since_ns)
        if reading.until_ns is not None:
            until_ns = min(until_ns, reading.until_ns)
        return since_ns, until_ns

    def slack_ns(self) -> int:
        """Greatest error of the clock that stamps a line."""
        return CLOCK_LAG_NS + (self.reading.skew_ns or 0)

    def metadata(self) -> dict[str, Any]:
        """The metadata of the log: what its intervals rest on, and what they could show."""
        found, reading = self.found, self.reading
        lasting = f"no request lasted over {format_duration(self.longest_ns())} (--longest)"
        lag = f"the server read its clock at least every {format_duration(CLOCK_LAG_NS)}"
        assumptions = [f"{lasting}, {lag}, and nobody set it"]
        if reading.skew_ns is not None:
            off = f"no clock of a host was over {format_duration(reading.skew_ns)} off"
            assumptions.append(f"{off} the limiter's (--skew)")
        if found["strange"]:
            left_out = f"the {found['strange']:,} lines that were not understood"
            assumptions.append(f"{left_out} are of no client here")
        if reading.where is not None:
            counted = f"the policy counts requests where {reading.where}, and no others"
            assumptions.append(counted)
        if 503 in self._statuses and 429 not in self._statuses:
            assumptions.append(LIMITERS_503)
        if len(reading.key.alternatives) > 1:
            assumptions.append(f"no client sent - for a part of {reading.key}")
        metadata: dict[str, Any] = {
            "imported_from": f"access log ({self.format.name})",
            "clock": "CLOCK_REALTIME",
            "assumptions": assumptions,
            "undecided_statuses": list(UNDECIDED),
        }
        if self._first_ns is not None:
            metadata["complete_ns"] = list(self.complete_ns())
            metadata["access_log"] = {
                "stamp": self.format.stamp,
                "step_ns": found["step_ns"],
                "longest_ns": self.longest_ns(),
                "timed": not found["untimed"],
                "width_ns": self._width_ns,
            }
        return metadata

    def _note(self, sent: Sequence[int], received: Sequence[int], status: Sequence[int]) -> None:
        """Note what of these rows concerns the log as a whole."""
        if not sent:
            return
        if self._first_ns is None:
            self._first_ns = self._last_ns = received[0]
        self._statuses.update(status)
        step = len(sent) // _SAMPLED + 1
        widths = sorted(map(int.__sub__, received[::step], sent[::step]))
        self._width_ns = widths[len(widths) // 2] + 1
        if self.found["local"]:
            jumps = pairwise(chain([self._last_ns], received))
            quiet = [after for before, after in jumps if after - before >= _JUMP_NS]
            self._quiet_ns = max([self._quiet_ns, *quiet])
        self._last_ns = received[-1]

    def _within(
        self, rows: Sequence[int], sent: Sequence[int], received: Sequence[int]
    ) -> Sequence[int]:
        """The rows of requests that may have been decided since and until when it is asked for.

        Those that only may have been stay in, so that whatever was decided in between is there.
        """
        since_ns, until_ns = self.reading.since_ns, self.reading.until_ns
        if since_ns is not None:
            rows = [row for row in rows if received[row] >= since_ns]
        if until_ns is not None:
            rows = [row for row in rows if sent[row] < until_ns]
        return rows

    def _strange(self) -> str:
        found = self.found
        some = "; ".join(f"{self._line(number)}: {shown(line)}" for number, line in found["shown"])
        many = f"{found['strange']:,} of {found['lines']:,} lines"
        return printable(f"{many} are not of the format {self.format.name}: {some}")

    def _line(self, number: int) -> str:
        """A line of the log, for messages: its number in its file."""
        if len(self._files) < 2:
            return f"line {number}"
        ends = [end for end, _ in self._files]
        at = min(bisect_left(ends, number), len(ends) - 1)
        return f"line {number - (ends[at - 1] if at else 0)} of {self._files[at][1]}"


def _parts_of(reading: Reading) -> Sequence[Part]:
    parts = () if reading.where is None else reading.where.parts
    return (*parts, Part("header", reading.header)) if reading.header else parts
