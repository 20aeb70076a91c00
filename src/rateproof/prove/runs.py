"""Several runs in one log. A clock may have begun again in between, so no run says when another was.

Keys that are in one run only are judged as they are. Where a key is in several,
each run is judged by itself: too many admissions within one run are too many,
whatever happened in others. A rejection cannot be judged then: what used up the
quota may be in another run.
"""

from array import array
from typing import Final

from rateproof.events import EventLog

__all__ = ["APART", "by_run"]

APART: Final = (
    "keys are in more than one run: each run was judged by itself, and no rejection, "
    "for requests of another run may be its reason"
)


def by_run(log: EventLog) -> dict[int, EventLog]:
    """The log of each run, in order of appearance; nothing unless a key is in more than one."""
    if log.same("run") is not None or not len(log):
        return {}
    runs = log.ints("run")
    pairs = set(zip(runs, log.codes("key")[0], strict=True))
    if len(pairs) == len({code for _, code in pairs}):
        return {}
    rows_of: dict[int, array[int]] = {}
    for row, run in enumerate(runs):
        rows_of.setdefault(run, array("q")).append(row)
    return {run: log.take(rows) for run, rows in rows_of.items()}
