"""The files of a log: which ones are meant, and the order in which they were written."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from filecmp import cmp
from glob import glob
from itertools import combinations
from pathlib import Path
from typing import Final

from rateproof.errors import InvalidArgument, LogError
from rateproof.events.access_logs.feeding import File, begun_of
from rateproof.events.access_logs.reading import Reading
from rateproof.events.access_logs.recognition import first_stamp_ns, format_of
from rateproof.events.lines import open_lines
from rateproof.events.places import fitting_elsewhere
from rateproof.output import printable, say

_ROTATED: Final = re.compile(r"(?:[.-](\d+))?(?:\.(?:gz|zst))?$")


def found(names: Sequence[str]) -> list[str]:
    """The files of these names, each once; a pattern such as `access.log*` is all that it fits.

    Raises:
        InvalidArgument: no file fits a pattern, or standard input is not alone.
    """
    paths: dict[str, None] = {}
    for name in names:
        if is_pattern(name):
            fitting = sorted(fitting_elsewhere(name) if "://" in name else glob(name))  # noqa: PTH207 - a pattern may be absolute
            if not fitting:
                raise InvalidArgument(
                    f"no file fits {name!r}", "quotes keep a pattern from the shell"
                )
            paths.update(dict.fromkeys(fitting))
        else:
            paths[name] = None
    if "-" in paths and len(paths) > 1:
        raise InvalidArgument("standard input beside files", "- alone, or cat the files into it")
    return list(paths)


def live(names: Sequence[str]) -> list[str]:
    """The files of these names that are still written to: of a pattern, those that no rotation named.

    Raises:
        InvalidArgument: a pattern fits no such file; as for `found`.
    """
    paths: dict[str, None] = {}
    for name in names:
        fitting = found([name])
        if is_pattern(name):
            fitting = [path for path in fitting if not _rotated(path)]
            if not fitting:
                problem = f"all files that fit {name!r} were renamed by a rotation"
                raise InvalidArgument(problem, "name the file that the server writes to")
        paths.update(dict.fromkeys(fitting))
    return found(list(paths))


def _rotated(path: str) -> bool:
    told = _ROTATED.search(Path(path).name)
    return told is not None and bool(told[0])


def is_pattern(name: str) -> bool:
    """True if a name is that of no file, and one that several files may fit."""
    return any(mark in name for mark in "*?[") and not Path(name).exists()


def hosts(paths: Sequence[str]) -> list[list[str]]:
    """The files of each host: those of one folder and one name, but for what a rotation adds.

    Raises:
        LogError: two files hold the same.
    """
    of: dict[tuple[Path, str], list[str]] = {}
    for path in paths:
        name = _ROTATED.sub("", Path(path).name)
        of.setdefault((Path(path).parent, name), []).append(path)
    _refuse_copies(paths)
    return list(of.values())


def _refuse_copies(paths: Sequence[str]) -> None:
    """Refuse a file that holds the same as another one: its requests would count twice."""
    for path, other in combinations(paths, 2):
        with suppress(OSError):  # whoever reads it says so
            if Path(path).stat().st_size and cmp(path, other, shallow=False):
                problem = f"{printable(other)} holds the same as {printable(path)}"
                raise LogError(problem, "the log of each host once")


def in_order(paths: Sequence[str], reading: Reading) -> list[str]:
    """Files as they were written: by their first stamps, and by their names where these are equal.

    Raises:
        LogError: a file cannot be read, is of no known format, or of another one than the first.
    """
    if len(paths) == 1:
        return list(paths)
    stamped, known = [], ""
    for path in paths:
        with open_lines(path) as (lines, name):
            begun = begun_of(lines.blocks())
        if not any(line.strip() for line in begun):
            say(f"hint: {name} is empty")
            continue
        format_ = reading.format or format_of(begun, name)
        if known and format_.name != known:
            problem = f"{name} is of the format {format_.name}, and a file before it is {known}"
            raise LogError(problem, "judge each by itself, or --format says which both are")
        known = format_.name
        stamp_ns = first_stamp_ns(format_, begun)
        if stamp_ns is None:
            raise LogError(f"{name}: none of its first lines is of the format {known}")
        stamped.append((stamp_ns, -_number(path), path))
    if not stamped:
        raise LogError(f"{printable(', '.join(paths))}: no events", "a log needs a request")
    return [path for *_, path in sorted(stamped)]


def pieces_of(paths: Sequence[str]) -> Iterator[File]:
    """The bytes of files, one after the other, none of them opened before its turn."""
    for path in paths:
        with open_lines(path) as (lines, name):
            yield name, lines.blocks()


def _number(path: str) -> int:
    """The number that a rotation has given to a file, the greater the older; 0 without one."""
    told = _ROTATED.search(Path(path).name)
    digits = told[1] if told and told[1] else "0"
    return int(digits) if len(digits) < 8 else 0  # a date
