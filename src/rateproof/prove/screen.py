"""A survey by the native core: it clears nearly every key, without an object for an event.

It says the same of a log as the reference in `survey`, and more: against which
keys a search would find nothing, and what it would spend on that. Only the
others are looked at one by one.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rateproof import core
from rateproof.events import ADMITTED, REJECTED, EventLog
from rateproof.events.log import COLUMNS, FLOAT, INT
from rateproof.policy import Policy
from rateproof.prove.models import EXACT, Model, Tolerance
from rateproof.prove.observed import KeyLog, observe
from rateproof.prove.pressure import Pressure, unpressed
from rateproof.prove.rejections import has_rule
from rateproof.prove.survey import Counts, Survey, Suspect, cut_off, fresh

__all__ = ["screened"]

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
)
_KINDS = {ADMITTED: 0, REJECTED: 1}


def screened(
    log: EventLog, policy: Policy, tolerance: Tolerance, *, over_admission: bool
) -> Survey | None:
    """Survey a log natively.

    Args:
        log: what clients saw.
        policy: what was promised.
        tolerance: what clocks may disagree on.
        over_admission: whether it will be searched for over-admission.

    Returns:
        None where there is no native core, or the log is not one for it (times
        more than 2**61 ns apart, 2**32 rows or more).
    """
    native = core.native()
    if native is None or not len(log):
        return None
    same_clock = tolerance == EXACT
    rules = {
        "exact": Model.of(policy, EXACT).figures(),
        "tolerated": None if same_clock else Model.of(policy, tolerance).figures(),
        "windows": [
            (quota.limit, quota.window_ns, tolerance.at_most_ns(quota.window_ns))
            for quota in policy.quotas
            if has_rule(policy) and not cut_off(log)
        ],
        "fresh": fresh(log),
        "over": over_admission,
    }
    found = native.screen(_columns(log), rules, len(os.sched_getaffinity(0)))
    if found is None:
        return None
    rows = _Rows(log, [suspect[0] for suspect in found["suspects"]], marked=found["marked"])
    words = log.words("key")
    return Survey(
        counts=Counts(
            keys=found["keys"],
            events=len(log),
            admitted=found["admitted"],
            rejected=found["rejected"],
            unknown=found["unknown"],
            judged=found["judged"],
        ),
        pressure=tuple(
            _pressure(total, words, figures)
            for total, figures in zip(unpressed(policy), found["pressure"], strict=True)
        ),
        longest_ns=found["longest_ns"],
        suspects=[
            Suspect(partial(rows.key_log, number), *costs)
            for number, (_, *costs) in enumerate(found["suspects"])
        ],
        wrong_if_exact=found["wrong_if_exact"],
        wrong_if_unknown=found["wrong_if_unknown"],
    )


def _columns(log: EventLog) -> dict[str, Any]:
    """What of a log is judged, as it is stored: one number for all rows, or a buffer."""
    return {name: _stored(log, name) for name in _NAMES} | {
        "rows": len(log),
        "keys": len(log.words("key")),
        "kinds": bytes(_KINDS.get(word, 2) for word in log.words("outcome")),
        "refused": bytes(word == "refused" for word in log.words("error")),
    }


def _stored(log: EventLog, name: str) -> Any:
    same = log.same(name)
    if same is not None:
        return same
    kind = COLUMNS[name]
    if kind == INT:
        return log.ints(name)
    return log.floats(name) if kind == FLOAT else log.codes(name)[0]


def _pressure(total: Pressure, words: Sequence[bytes], figures: Sequence[Any]) -> Pressure:
    attempts, possible, provable, tightest_ns, stressed, code = figures
    return replace(
        total,
        attempts=attempts,
        possible=possible,
        provable=provable,
        margin_ns=None if tightest_ns is None else tightest_ns - total.window_ns,
        stressed=stressed,
        key=b"" if code is None else words[code],
    )


class _Rows:
    """The rows of suspects, sought when the first of them is looked at."""

    def __init__(self, log: EventLog, codes: list[int], *, marked: bool) -> None:
        self._log = log
        self._codes = codes
        self._marked = marked
        self._rows: list[bytes] | None = None

    def key_log(self, number: int) -> KeyLog:
        """The requests of one suspect."""
        if self._rows is None:
            from rateproof import _native

            key = _stored(self._log, "key")
            self._rows = _native.rows_of(key, len(self._log), self._codes)
        rows = memoryview(self._rows[number]).cast("q")
        (key_log,) = observe(self._log, rows, marked=self._marked).values()
        return key_log
