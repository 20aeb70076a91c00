"""A log that the workers of a cluster split into pieces and look at, from storage that all share."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from rateproof import linux
from rateproof.cluster import Cluster
from rateproof.errors import CannotWrite, LogError, readable
from rateproof.events.costs import (
    bound,
    disk_for,
    fitting,
    pieces_of,
    refuse_full,
    rows_at_once,
)
from rateproof.events.facts import Facts, RowFile
from rateproof.events.impossible import refuse_impossible
from rateproof.events.judged import LONG
from rateproof.events.log import EventLog
from rateproof.events.parquet_reader import opened
from rateproof.events.pieces import Pieces
from rateproof.events.places import remove
from rateproof.events.progress import Progress
from rateproof.events.repeats import refuse_repeated_apart
from rateproof.events.splitter import Splitter, turns
from rateproof.events.workplace import ANOTHER, Workplace
from rateproof.folders import writable
from rateproof.output import printable

_MOST_ROWS: Final = 1 << 22
"""Rows that a task shares out, or looks at: more take new memory, which costs more time than all else."""

_MEMORY: Final = 1 << 30
"""Memory of a task where no worker says what is free."""

_ASKED: Final = "asked"
"""The file in a folder of pieces that is there as long as they are asked for."""

BESIDE: Final = "parts of a log go beside it, where all workers reach them"

Prepare = Callable[[EventLog], EventLog]


class Asked(NamedTuple):
    """The way a log is split.

    Args:
        paths: its files.
        place: where the pieces go.
        pieces: number of them.
        memory: bytes that a task may take.
        prepared: what is made of rows before they are judged; it can be sent to a worker.
        name: of the log, for messages.
    """

    paths: Sequence[Path]
    place: Workplace
    pieces: int
    memory: int
    prepared: Prepare
    name: str


@contextmanager
def pieces_on(
    cluster: Cluster,
    paths: Sequence[Path],
    memory: int | None,
    prepared: tuple[Prepare, Prepare],
    say: Callable[[str], None],
    *,
    name: str,
) -> Iterator[Pieces | None]:
    """A log in pieces that workers have made and look at; None where it is so short that nobody has to.

    They lie in a folder of their own beside the log, or in the temporary folder where the cluster
    is on this machine, and go at the end.

    Args:
        cluster: whose workers.
        paths: the files of the log, which all workers can read.
        memory: bytes that a task may take; None: its share of half of what is free where it runs.
        prepared: what is made of the whole log's metadata before it is judged, and of rows, which
            can be sent to a worker.
        say: tells people what is being done.
        name: of the log, for messages.

    Raises:
        LogError: it cannot be read, or not be judged in pieces.
        InvalidArgument: too little memory.
        CannotWrite: there is no room for the pieces.
        Unreachable: as of `Cluster.results`.
    """
    with opened(*paths, to_judge=True) as log:
        if log is None or log.rows <= LONG:
            yield None
            return
        rows, groups, metadata = log.rows, log.groups, prepared[0](EventLog(log.metadata)).metadata
        needs = disk_for(log)
    workers = cluster.workers()
    threads, memory = sum(workers.values()), memory or _share(cluster, workers)
    count = max(threads, pieces_of(rows, memory), -(-rows // _MOST_ROWS))
    with folder_on(cluster, paths[0]) as folder:
        say(
            f"{rows:,} requests go to {len(workers)} workers: {count} pieces by key go to "
            f"{printable(str(folder))} and are removed afterwards"
        )
        place = Workplace(folder, BESIDE if cluster.folder is None else ANOTHER)
        if isinstance(folder, Path):
            refuse_full(place, needs, name)
        asked = Asked(paths, place, count, memory, prepared[1], name)
        most = min(rows_at_once(memory), -(-rows // threads), _MOST_ROWS)
        files, facts = _split(cluster, asked, [*turns(groups, most)], groups, say)
        pieces = Pieces(files, facts, facts.noted(metadata), say, run=partial(run, cluster))
        bound(pieces, memory)
        yield pieces


def run(
    cluster: Cluster, work: Callable[[int], Any], numbers: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    """Have workers do something with each number; it, and what came of it."""
    for place, found in cluster.results(cluster.submit(work, number) for number in numbers):
        yield numbers[place], found


def _share(cluster: Cluster, workers: Mapping[str, int]) -> int:
    """Half of what is free on the machine that has least of it for each task."""
    free = cluster.asked(linux.free_memory)
    threads: dict[str, int] = {}
    for address, own in workers.items():
        host = address.rpartition(":")[0]
        threads[host] = threads.get(host, 0) + own
    shares = [
        told // (2 * threads[address.rpartition(":")[0]])
        for address, told in free.items()
        if isinstance(told, int) and address in workers
    ]
    return min(shares, default=_MEMORY)


@contextmanager
def folder_on(cluster: Cluster, log: Path) -> Iterator[Any]:
    """A folder that all workers reach, and that goes at the end: beside a log, or of the cluster here.

    Raises:
        CannotWrite: it cannot be made.
    """
    own = f"rateproof-{secrets.token_hex(8)}"
    folder = log.parent / f"{log.name}.{own}" if cluster.folder is None else cluster.folder / own
    asked = folder / _ASKED
    with writable(folder, BESIDE):
        folder.mkdir()
        asked.touch()
    try:
        yield folder
    finally:
        with suppress(OSError):
            asked.unlink()  # before all else: see `still_asked`
        with suppress(OSError):
            remove(folder)


def still_asked(folder: Any, files: Iterable[Any]) -> None:
    """Take back what a task has written to a folder that was removed meanwhile.

    Where there are only objects, writing them would make it anew, and nobody would remove it. What
    is written before this looks is there when the folder is removed.

    Raises:
        CannotWrite: it was removed.
    """
    if isinstance(folder, Path):
        return
    folder.fs.invalidate_cache()
    if not (folder / _ASKED).exists():
        for file in files:
            file.unlink(missing_ok=True)
        raise CannotWrite(f"{printable(str(folder))} was removed meanwhile")


def _split(
    cluster: Cluster,
    asked: Asked,
    turns: Sequence[range],
    groups: Sequence[int],
    say: Callable[[str], None],
) -> tuple[dict[int, Sequence[Path]], Facts]:
    """Have every worker share out some of the rows; the files of each piece, and what is known."""
    first = [sum(groups[: turn.start]) for turn in turns]
    progress, done = Progress("splitting", sum(groups), say), 0
    found: dict[int, tuple[dict[int, tuple[Path, int]], Facts]] = {}
    work = (cluster.submit(split_turn, asked, *of) for of in zip(turns, first, strict=True))
    for number, told in cluster.results(work):
        found[number] = told
        done += told[1].rows
        progress.at(done)
    facts = Facts()
    parts: dict[int, list[tuple[Path, int]]] = {}
    for _, (own, known) in sorted(found.items()):
        facts.add(known, asked.name)
        for number, part in own.items():
            parts.setdefault(number, []).append(part)
    if facts.may_repeat:
        list(cluster.results([cluster.submit(refuse_repeats, asked, turns, facts)]))
    pieces = [parts[number] for number in sorted(parts)]
    return _that_fit(cluster, asked, pieces, facts), facts


def _that_fit(
    cluster: Cluster, asked: Asked, pieces: Iterable[Sequence[tuple[Path, int]]], facts: Facts
) -> dict[int, Sequence[Path]]:
    """Every piece by its number, those that do not fit in memory split again."""
    fit: list[tuple[Sequence[Path], RowFile]] = []
    large: list[Sequence[Path]] = []
    for parts in pieces:
        files, rows = [path for path, _ in parts], sum(rows for _, rows in parts)
        if rows <= fitting(asked.memory):
            fit.append((files, RowFile(files[0], rows)))
        else:
            large.append(files)
    again = (cluster.submit(split_again, asked, files) for files in large)
    for _, (_, smaller) in sorted(cluster.results(again)):
        fit += [([part.path], part) for part in smaller]
    facts.keep([part for _, part in fit])
    return {number: files for number, (files, _) in enumerate(fit)}


def split_turn(
    asked: Asked, groups: range, first: int
) -> tuple[dict[int, tuple[Path, int]], Facts]:
    """Share out the rows of some row groups: a file for each piece, its rows, and what is known.

    Raises:
        LogError: the log is damaged, gone or of several runs.
        CannotWrite: the disk is full.
    """
    splitter = Splitter(asked.place, asked.pieces, asked.name, prefix=f"{attempt()}-", first=first)
    with readable(asked.name), opened(*asked.paths, to_judge=True) as log:
        if log is None:
            raise LogError(f"{asked.name} is empty now", "check it again")
        rows = log.read(groups, keys=False)
        name = f"{asked.name}, of rows {first + 1:,} to {first + len(rows):,}"
        refuse_impossible(rows, name, part=True)
        splitter.add(asked.prepared(rows), log.keys(groups))
    found = splitter.closed()
    still_asked(asked.place.folder, (path for path, _ in found.values()))
    return found, splitter.facts


def refuse_repeats(asked: Asked, turns: Sequence[range], facts: Facts) -> None:
    """Refuse a request that is there twice, see `refuse_repeated_apart`.

    Raises:
        LogError: it is, or the log is damaged or gone.
    """
    with readable(asked.name), opened(*asked.paths, to_judge=True) as log:
        if log is not None:
            most = 4 * rows_at_once(asked.memory)
            refuse_repeated_apart(log, turns, facts, most, asked.name)


def split_again(asked: Asked, files: Sequence[Path]) -> tuple[None, list[RowFile]]:
    """Split a piece that does not fit in memory, see `Splitter.split_again`.

    Raises:
        LogError: it is damaged or gone.
        CannotWrite: the disk is full.
    """
    splitter = Splitter(asked.place, 1, asked.name, asked.memory)
    try:
        with opened(*files) as log:
            found = [] if log is None else splitter.split_again(log, attempt(), asked.memory)
    except OSError as error:
        raise LogError(f"a piece of {asked.name} is gone: {error.strerror or error}") from error
    still_asked(asked.place.folder, (part.path for part in found))
    return None, found


def attempt() -> str:
    """A name of its own for what a task writes: another worker may do the same work once more."""
    return secrets.token_hex(8)
