"""The logs of hosts, read by the workers of a cluster, who then work on the parts of their traffic."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from rateproof.cluster import Cluster
from rateproof.errors import InvalidArgument, LogError
from rateproof.events.access_logs import Reading
from rateproof.events.access_logs.access_log import name_of, ordered_hosts
from rateproof.events.access_logs.feeding import begin, chunks
from rateproof.events.access_logs.rotation import found as found_files
from rateproof.events.access_logs.rotation import pieces_of
from rateproof.events.parquet import file_writer, require_pyarrow
from rateproof.events.places import path_of, to_write
from rateproof.events.shares import BESIDE, attempt, run, still_asked
from rateproof.folders import writable
from rateproof.output import printable, say
from rateproof.plan.progress import PlanProgress
from rateproof.plan.reading import CHUNK, HASHED, Codes, Ends, assumed, columns_of, raw, span_of
from rateproof.plan.traffic import Partitions, Traffic, part_of

_ROWS = {"code": "int32", "sent_ns": "int64", "width": "int32", "agent": "uint32", "path": "uint32"}


class HostLog(NamedTuple):
    """The log of a host, as it was read.

    Args:
        rows: file with the requests: each its client's code, and the columns of `Partitions`.
        keys: its clients, by code.
        ends: earliest and latest instants.
        assumptions: those that all bounds rest on.
        said: to people.
    """

    rows: Path
    keys: list[bytes]
    ends: list[Ends]
    assumptions: list[str]
    said: list[str]


def traffic_on(
    cluster: Cluster,
    names: Sequence[str],
    reading: Reading,
    partitions: Partitions,
    *,
    progress: PlanProgress,
    folder: Path,
) -> tuple[Traffic, list[str]]:
    """Have workers read the logs, a host each, and return their traffic: see `read_traffic`.

    Raises:
        InvalidArgument: standard input, or a format has not what is asked for.
        LogError: no access log, or one that is damaged or empty.
        CannotWrite: there is no room for its parts.
        Unreachable: as of `Cluster.results`.
    """
    if "-" in names:
        raise InvalidArgument("standard input with --on", "files that all workers can read")
    hosts = [*ordered_hosts([str(path_of(name)) for name in found_files(names)], reading)]
    work = (cluster.submit(read_host, ordered, reading, folder) for ordered in hosts)
    keys, requests, found = list[bytes](), 0, dict(cluster.results(work))
    for number in range(len(hosts)):
        say("\n".join(found[number].said))
        codes, words = Codes(keys, shared=number > 0), found[number].keys
        for own, *columns in _read(found[number].rows):
            requests += len(own) // 4
            told = codes.of(words, memoryview(own).cast("i"))
            partitions.add(raw(told), columns)
            words = []
    span = span_of([*chain(*(one.ends for one in found.values()))], requests, name_of(hosts[-1]))
    progress.passing(len(partitions.filled()))
    assumptions = dict.fromkeys(chain(*(found[at].assumptions for at in range(len(hosts)))))
    parts = _parts(partitions, folder)

    def elsewhere(work: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        return run(cluster, partial(work_on, parts, partitions.count, work), [*parts])

    return Traffic(partitions, keys, span, requests, progress, elsewhere), assumed([*assumptions])


def read_host(ordered: Sequence[str], reading: Reading, folder: Path) -> HostLog:
    """Read the log of a host.

    Raises:
        InvalidArgument, LogError: as `read_traffic`.
        CannotWrite: there is no room for its requests.
    """
    pa, path = require_pyarrow(), folder / f"{attempt()}.parquet"
    types = {name: getattr(pa, type_)() for name, type_ in _ROWS.items()}
    schema = pa.schema(list(types.items()))
    keys, ends = list[bytes](), list[Ends]()
    scan, files = begin(pieces_of(ordered), name_of(ordered), reading, HASHED)
    said = [scan.introduction]
    with (
        writable(folder, BESIDE),
        file_writer()(
            **to_write(path), schema=schema, compression="lz4", write_page_checksum=True
        ) as writer,
    ):
        for chunk in chunks(scan, files, size=CHUNK, keep=True):
            columns, own = columns_of(chunk)
            ends.append(own)
            keys += chunk.words
            arrays = [
                pa.Array.from_buffers(type_, len(chunk.keys), [None, pa.py_buffer(values)])
                for type_, values in zip(types.values(), [raw(chunk.keys), *columns], strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    still_asked(folder, [path])
    scan.refuse(said.append)
    return HostLog(path, keys, ends, scan.metadata()["assumptions"], said)


def work_on(
    parts: dict[int, tuple[Path, int]], count: int, work: Callable[[Any], Any], part: int
) -> Any:
    """Do something with the traffic of a part.

    Raises:
        LogError: its file is damaged or gone.
    """
    path, sum_ = parts[part]
    with _reading(path):
        rows = path.read_bytes()
    if crc32(rows) != sum_:
        raise LogError(f"{printable(str(path))} was damaged meanwhile", "plan once more")
    return work(part_of(rows, count))


def _parts(partitions: Partitions, folder: Path) -> dict[int, tuple[Path, int]]:
    """The file of each part that has rows, and the sum of its bytes."""
    found = {}
    for part in partitions.filled():
        path, rows = folder / f"{part}.part", partitions.read(part)
        with writable(folder, BESIDE):
            path.write_bytes(rows)
        found[part] = path, crc32(rows)
    return found


def _read(path: Path) -> Iterator[list[bytes]]:
    """The requests of a host, chunk by chunk: the bytes of each column."""
    pa = require_pyarrow()
    with _reading(path), path.open("rb") as file:
        try:
            parsed = pa.parquet.ParquetFile(file, page_checksum_verification=True)
            for group in range(parsed.num_row_groups):
                table = parsed.read_row_group(group).combine_chunks()
                yield [
                    bytes(column.chunk(0).buffers()[1]) if len(column) else b""
                    for column in table.columns
                ]
        except pa.ArrowException as error:
            raise LogError(f"{printable(str(path))} was damaged meanwhile: {error}") from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"{printable(str(path))} was damaged or removed meanwhile"
        raise LogError(f"{problem}: {error.strerror or error}", "plan once more") from error
