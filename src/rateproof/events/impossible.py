"""Impossible events, in a log that can be read.

Times must be readings of one clock in nanoseconds. A log in seconds looks as if
all had happened within a moment, and rows of two clocks as if they lay years
apart: either would be judged, and wrongly.
"""

from collections import deque
from collections.abc import Sequence
from itertools import compress, count, repeat
from math import inf, isnan
from operator import sub
from typing import Final

from rateproof.errors import LogError
from rateproof.events.columns import NULL
from rateproof.events.log import ADMITTED, REJECTED, EventLog
from rateproof.events.outcomes import noted_statuses

__all__ = ["TWO_LOGS", "refuse_impossible", "refuse_repeated"]

TWO_LOGS: Final = "two logs in one file? check each by itself"

_YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
_MOST_YEARS: Final = 20
_LEAST_NS: Final = 1_000
_COARSE_NS: Final = 1_000_000
_BYTES_A_ROW: Final = 64

_FORM: Final = "sent_ns and received_ns are whole nanoseconds of one clock, from 0 on"


def refuse_impossible(log: EventLog, name: str) -> None:
    """Refuse a log with times or statuses that no client can have seen.

    Args:
        log: the events of a file.
        name: of the file, for messages, which count rows from 1.

    Raises:
        LogError: a time below 0; times more than 20 years apart, as those of a clock that
            counts from 1970 and of one that counts from the start of a machine are; an
            answer less than a microsecond after its request, as in seconds or milliseconds;
            a status that is none of HTTP; an outcome that is contrary to the statuses by
            which the log's scenario is rejected; a header field below 0; a row that is there
            twice, where rows have no numbers and the clock is fine enough to tell.
    """
    if len(log):
        _refuse_times(log, name)
        _refuse_statuses(log, name)
        _refuse_outcomes(log, name)
        _refuse_negative(log, name)
        _refuse_equal_rows(log, name)


def _refuse_times(log: EventLog, name: str) -> None:
    sent, received = log.ints("sent_ns"), log.ints("received_ns")
    first_ns = min(sent)
    if first_ns < 0:
        raise LogError(f"{name}, row {sent.index(first_ns) + 1}: sent_ns is {first_ns}", _FORM)
    for column in ("sent_ns", "received_ns", "done_ns"):
        if log.same(column) == NULL:
            continue
        times = log.ints(column)
        last_ns = max(times)
        if last_ns - first_ns > _MOST_YEARS * _YEAR_NS:
            raise LogError(
                f"{name}: sent_ns is {first_ns} in row {sent.index(first_ns) + 1} and {column} is "
                f"{last_ns} in row {times.index(last_ns) + 1}, "
                f"{(last_ns - first_ns) // _YEAR_NS} years apart: readings of two clocks?",
                _FORM,
            )
    took = map(sub, received, sent)
    for row in compress(count(), map(_LEAST_NS.__gt__, took)):
        if received[row] != NULL:
            raise LogError(
                f"{name}, row {row + 1}: received_ns is {received[row] - sent[row]} ns after "
                f"sent_ns {sent[row]}, and no answer comes that fast: times in another unit?",
                f"{_FORM}; where a clock is coarser, received_ns is rounded up",
            )


def _refuse_statuses(log: EventLog, name: str) -> None:
    statuses = log.ints("status")
    strange = [status for status in set(statuses) if status != NULL and not 100 <= status <= 999]
    if strange:
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
    statuses, (codes, words) = log.ints("status"), log.codes("outcome")
    for status, code in set(zip(statuses, codes, strict=True)):
        contrary = ADMITTED if status in rejections else REJECTED
        if status != NULL and words[code] == contrary:
            row = list(zip(statuses, codes, strict=True)).index((status, code))
            raise LogError(
                f"{name}, row {row + 1}: the outcome of status {status} is {contrary}",
                f"the log's scenario has {sorted(rejections)} as rejected_statuses; --rejected "
                "lets outcomes follow from others",
            )


def _refuse_negative(log: EventLog, name: str) -> None:
    for column in ("ratelimit_remaining", "ratelimit_reset_s", "retry_after_s"):
        same = log.same(column)
        if same is not None and (same == NULL or isnan(same)):
            continue
        for row, value in enumerate(log.column(column)):
            if value is not None and not 0 <= value < inf:
                raise LogError(
                    f"{name}, row {row + 1}: {column} is {value}",
                    "0 or more; null where the answer had no such field",
                )


def _refuse_equal_rows(log: EventLog, name: str) -> None:
    """Two requests of a client may be sent in one millisecond, but not in one nanosecond."""
    if any(log.ints("sequence")) or not any(map(_COARSE_NS.__rmod__, log.ints("sent_ns"))):
        return
    seen: set[tuple[int, ...]] = set()
    columns = [log.ints(column) for column in ("run", "sent_ns", "received_ns", "status")]
    for row, values in enumerate(zip(log.codes("key")[0], *columns, strict=True)):
        if values in seen:
            raise LogError(f"{name}, row {row + 1} is there a second time, all of it", TWO_LOGS)
        seen.add(values)


def refuse_repeated(log: EventLog, name: str) -> None:
    """Refuse a log in which a request is there twice.

    A log without sequence numbers (all 0, or one row) cannot tell, and is left alone.

    Args:
        log: the events of a file.
        name: of the file, for messages.

    Raises:
        LogError: two rows of one run with the same sequence number; it names the second,
            counted from 1.
    """
    # Columns that are the same in every row are left as they are: they take no memory so.
    if log.same("sequence") == 0 or len(log) < 2:
        return
    sequences = log.ints("sequence")
    if not any(sequences):
        return
    if log.same("run") is not None and _all_differ(sequences):
        return
    runs = log.ints("run")
    seen: set[tuple[int, int]] = set()
    for row, (run, sequence) in enumerate(zip(runs, sequences, strict=True)):
        if (run, sequence) in seen:
            problem = f"{name}, row {row + 1}: sequence {sequence} of run {run}"
            raise LogError(f"{problem} is there a second time", TWO_LOGS)
        seen.add((run, sequence))


def _all_differ(numbers: Sequence[int]) -> bool:
    """True if they do, as far as a table with a byte for each possible number can tell.

    A set takes some 60 bytes a number; where numbers lie close, as ours do, this takes few.
    """
    low, high = min(numbers), max(numbers)
    if high - low >= _BYTES_A_ROW * len(numbers):
        return len(set(numbers)) == len(numbers)
    seen = bytearray(high - low + 1)
    places = map((-low).__add__, numbers) if low else numbers
    deque(map(seen.__setitem__, places, repeat(1)), maxlen=0)
    return seen.count(1) == len(numbers)
