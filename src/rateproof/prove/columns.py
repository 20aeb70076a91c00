"""The columns of a log as the native core reads them: one value for all rows, or a buffer."""

from typing import Any

from rateproof.events import ADMITTED, REJECTED, EventLog
from rateproof.events.log import COLUMNS, FLOAT, INT
from rateproof.prove.observed import marks_told

__all__ = ["columns_of", "stored"]

_NAMES = (
    "key",
    "outcome",
    "error",
    "sent_ns",
    "received_ns",
    "done_ns",
    "status",
    "retry_after_s",
    "ratelimit_remaining",
    "ratelimit_reset_s",
)
_KINDS = {ADMITTED: 0, REJECTED: 1}


def columns_of(log: EventLog) -> dict[str, Any]:
    """What of a log is judged, as it is stored: one number for all rows, or a buffer."""
    return {name: stored(log, name) for name in _NAMES} | {
        "marked": marks_told(log),
        "rows": len(log),
        "keys": len(log.words("key")),
        "kinds": bytes(_KINDS.get(word, 2) for word in log.words("outcome")),
        "refused": bytes(word == "refused" for word in log.words("error")),
    }


def stored(log: EventLog, name: str) -> Any:
    """A column: its one value, or its numbers, or the codes of its words."""
    same = log.same(name)
    if same is not None:
        return same
    kind = COLUMNS[name]
    if kind == INT:
        return log.ints(name)
    return log.floats(name) if kind == FLOAT else log.codes(name)[0]
