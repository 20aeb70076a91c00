"""Several runs in one log. A clock may have begun again in between, so no run says when another was.

Keys that are in one run only are judged as they are. Where a key is in several,
each run is judged by itself: too many admissions within one run are too many,
whatever happened in others. No rejection of such a key can be judged, nor what only
the whole of its requests shows: what used up the quota may be in another run.
"""

from array import array
from collections import Counter
from typing import Final

from rateproof.events import EventLog
from rateproof.prove.observed import marks_rejections

__all__ = ["APART", "by_run"]

APART: Final = (
    "keys are in more than one run: of these each run was judged by itself, and no rejection, "
    "for requests of another run may be its reason"
)


def by_run(log: EventLog) -> dict[int | None, EventLog]:
    """The parts of a log to be judged apart; nothing unless a key is in more than one run.

    Returns:
        Under None the keys that are in one run only, if there are any, judged as any log.
        Under each run, in order of appearance, its requests of the other keys: a part
        says that requests are missing from it, and that its keys are not fresh.
    """
    if log.same("run") is not None or not len(log):
        return {}
    runs, keys = log.ints("run"), log.codes("key")[0]
    pairs = set(zip(runs, keys, strict=True))
    times = Counter(code for _, code in pairs)
    if len(pairs) == len(times):
        return {}
    rows_of: dict[int | None, array[int]] = {None: array("q")}
    for row, (run, code) in enumerate(zip(runs, keys, strict=True)):
        rows_of.setdefault(None if times[code] == 1 else run, array("q")).append(row)
    marked = marks_rejections(log)
    parts = {}
    for of, rows in rows_of.items():
        if rows:
            part = parts[of] = log.take(rows)
            part.metadata["marked_rejections"] = marked
            if of is not None:
                part.metadata |= {"fresh_keys": False, "complete": False}
    return parts
