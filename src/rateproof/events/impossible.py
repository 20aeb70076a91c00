"""Impossible events, in a log that can be read.

Times must be readings of one clock in nanoseconds. A log in seconds looks as if
all had happened within a moment, and rows of two clocks as if they lay years
apart: either would be judged, and wrongly.
"""

from collections.abc import Mapping
from math import inf, isnan
from typing import Final

from rateproof import core
from rateproof.errors import LogError
from rateproof.events.columns import NULL
from rateproof.events.judged import answers
from rateproof.events.log import ADMITTED, COLUMNS, INT, REJECTED, EventLog
from rateproof.events.outcomes import noted_statuses
from rateproof.units import format_seconds

TWO_LOGS: Final = "two logs in one file? check each by itself"

_TIMES: Final = ("sent_ns", "received_ns", "done_ns")
_YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
_MOST_YEARS: Final = 20
_LEAST_NS: Final = 1_000
_COARSE_NS: Final = 1_000_000
_FAST_NS: Final = 100_000
_SHORT_NS: Final = 100_000_000

_YEARS_S: Final = range(1_262_304_000, 2_208_988_800)
"""Seconds since 1970 from 2010 to 2040."""

_UNITS: Final = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}

_FORM: Final = "sent_ns and received_ns are whole nanoseconds of one clock, from 0 on"


def refuse_impossible(log: EventLog, name: str, *, part: bool = False) -> None:
    """Refuse a log with times or statuses that no client can have seen.

    Args:
        log: the events of a file.
        name: of the file, for messages, which count rows from 1.
        part: whether these are some rows without their keys: only numbers tell one that is twice.

    Raises:
        LogError: a time below 0; times more than 20 years apart, as those of a clock that
            counts from 1970 and of one that counts from the start of a machine are; an
            answer less than a microsecond after its request, as in seconds or milliseconds;
            less than 100 us after it, where no clock is noted and the times are dates from
            2010 to 2040 in a coarser unit;
            a status that is none of HTTP; an outcome that is contrary to the statuses by
            which the log's scenario is rejected; a header field below 0; a row that is there
            twice, where rows have no numbers and the clock is fine enough to tell.
    """
    if len(log):
        _refuse_times(log, name)
        _refuse_statuses(log, name)
        _refuse_outcomes(log, name)
        _refuse_negative(log, name)
        if part:
            refuse_repeated(log, name)
        else:
            refuse_equal_rows(log, name)


def _refuse_times(log: EventLog, name: str) -> None:
    first_ns, _ = log.extremes("sent_ns") or (0, 0)
    if first_ns < 0:
        row = log.ints("sent_ns").index(first_ns)
        raise LogError(f"{name}, row {row + 1}: sent_ns is {first_ns}", _FORM)
    refuse_years_apart(first_ns, latest(log), name, log)
    short = log.first_short(_LEAST_NS)
    if short is not None:
        event = log[short]
        raise LogError(
            f"{name}, row {short + 1}: received_ns is {(event.received_ns or 0) - event.sent_ns} ns "
            f"after sent_ns {event.sent_ns}, and no answer comes that fast: times in another unit?",
            f"{_FORM}; where a clock is coarser, received_ns is rounded up",
        )

    unit = next((unit for unit, of in _UNITS.items() if first_ns // of in _YEARS_S), None)
    if unit is not None and _is_fast(log):
        raise LogError(
            f"{name}: sent_ns {first_ns} is a date in {unit}, and some answers are too fast for nanoseconds",
            f'{_FORM}; if they are that, its name in the metadata says so: "clock": "CLOCK_MONOTONIC"',
        )


def latest(log: EventLog) -> dict[str, int]:
    """The greatest of each kind of time in a log."""
    return {column: (log.extremes(column) or (0, 0))[1] for column in _TIMES}


def refuse_years_apart(
    first_ns: int, last: Mapping[str, int], name: str, log: EventLog | None = None
) -> None:
    """Refuse times that are years apart, as those of two clocks are.

    Args:
        first_ns: the least time of sending.
        last: the greatest time of each kind, by its column.
        name: of the log, for messages.
        log: the log, where its rows are to be named; None: it is not in memory.

    Raises:
        LogError: more than 20 years.
    """

    def row(column: str, time_ns: int) -> str:
        return "" if log is None else f" in row {log.ints(column).index(time_ns) + 1}"

    for column, last_ns in last.items():
        if last_ns - first_ns > _MOST_YEARS * _YEAR_NS:
            raise LogError(
                f"{name}: sent_ns is {first_ns}{row('sent_ns', first_ns)} and {column} is "
                f"{last_ns}{row(column, last_ns)}, "
                f"{(last_ns - first_ns) // _YEAR_NS} years apart: readings of two clocks?",
                _FORM,
            )


def _is_fast(log: EventLog) -> bool:
    """True if no clock is noted, and answers came as fast as they seem to in a coarser unit."""
    return "clock" not in log.metadata and log.first_short(_FAST_NS) is not None


def doubt_of_unit(log: EventLog) -> str | None:
    """The length of a log, if times of a coarser unit may have made it as short as it is."""
    first_ns, last_ns = log.extremes("sent_ns") or (0, 0)
    lasts_ns = last_ns - first_ns
    if not 0 < lasts_ns < _SHORT_NS or not _is_fast(log):
        return None
    return f"read as nanoseconds, its times say that the log lasts {format_seconds(lasts_ns)}"


def _refuse_statuses(log: EventLog, name: str) -> None:
    known = log.distinct("status")
    strange = [status for status in known if status != NULL and not 100 <= status <= 999]
    if strange:
        statuses = log.ints("status")
        row = min(map(statuses.index, strange))
        raise LogError(
            f"{name}, row {row + 1}: status is {statuses[row]}",
            "an HTTP status has three digits; null where no answer came",
        )


def _refuse_outcomes(log: EventLog, name: str) -> None:
    """Check outcomes against statuses: which are rejections only the scenario can say."""
    rejections = noted_statuses(log.metadata)
    if rejections is None:
        return
    for of in answers(log):
        contrary = ADMITTED if of.status in rejections else REJECTED
        if of.status is not None and of.outcome == contrary:
            found = zip(log.column("status"), log.column("outcome"), strict=True)
            row = list(found).index((of.status, contrary))
            raise LogError(
                f"{name}, row {row + 1}: the outcome of status {of.status} is {contrary}",
                f"the log's scenario has {sorted(rejections)} as rejected_statuses; --rejected "
                "lets outcomes follow from others",
            )


def _refuse_negative(log: EventLog, name: str) -> None:
    for column in ("ratelimit_remaining", "ratelimit_reset_s", "retry_after_s"):
        same = log.same(column)
        if same is not None and (same == NULL or isnan(same)):
            continue
        row = _first_below_0(log, column)
        if row is not None:
            (value,) = log.column(column, [row])
            raise LogError(
                f"{name}, row {row + 1}: {column} is {value}",
                "0 or more; null where the answer had no such field",
            )


def _first_below_0(log: EventLog, column: str) -> int | None:
    native = core.native()
    if native is None:
        values = enumerate(log.column(column))
        return next((row for row, one in values if one is not None and not 0 <= one < inf), None)
    if COLUMNS[column] == INT:
        low = [number for number in log.distinct(column) if NULL < number < 0]
        return min(map(log.ints(column).index, low)) if low else None
    row: int | None = native.first_below_0(log.stored(column), len(log))
    return row


def refuse_equal_rows(log: EventLog, name: str) -> None:
    """Refuse a row that is there twice: a client may send two in one millisecond, not in one ns.

    Raises:
        LogError: the second of them, where rows have no numbers and the clock is fine enough.
    """
    if log.extremes("sequence") != (0, 0):
        return
    if not any(map(_COARSE_NS.__rmod__, log.ints("sent_ns"))):
        return
    seen: set[tuple[int, ...]] = set()
    columns = [log.ints(column) for column in ("run", *_TIMES, "status")]
    for row, values in enumerate(zip(log.codes("key")[0], *columns, strict=True)):
        if values in seen:
            raise LogError(f"{name}, row {row + 1} is there a second time, all of it", TWO_LOGS)
        seen.add(values)


def refuse_repeated(log: EventLog, name: str) -> None:
    """Refuse a log in which a request is there twice.

    A log without sequence numbers (all 0, or one row) cannot tell, and is left alone.

    Raises:
        LogError: two rows of one run with the same sequence number; it names the second,
            counted from 1.
    """
    # Columns that are the same in every row are left as they are: they take no memory so.
    if log.same("sequence") == 0 or len(log) < 2:
        return
    if log.extremes("sequence") == (0, 0):
        return
    row = _first_repeated(log)
    if row is not None:
        (sequence,), (run,) = log.column("sequence", [row]), log.column("run", [row])
        problem = f"{name}, row {row + 1}: sequence {sequence} of run {run}"
        raise LogError(f"{problem} is there a second time", TWO_LOGS)


def _first_repeated(log: EventLog) -> int | None:
    native = core.native()
    if native is not None:
        row: int | None = native.first_repeated(log.stored("run"), log.stored("sequence"), len(log))
        return row
    seen: set[tuple[int, int]] = set()
    for row, pair in enumerate(zip(log.ints("run"), log.ints("sequence"), strict=True)):
        if pair in seen:
            return row
        seen.add(pair)
    return None
