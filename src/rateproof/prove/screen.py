"""A survey by the native core: it clears nearly every key, without an object for an event.

It says the same of a log as the reference in `survey`, and more: against which
keys a search would find nothing, and what it would spend on that. Only the
others are looked at one by one.
"""

import os
from collections.abc import Sequence
from dataclasses import astuple, replace
from functools import partial
from typing import Any

from rateproof import core
from rateproof.events import EventLog
from rateproof.policy import Policy
from rateproof.prove.columns import columns_of, stored
from rateproof.prove.models import EXACT, Model, Tolerance
from rateproof.prove.observed import KeyLog, observe
from rateproof.prove.pressure.calls import ClosestCall, first_of_each
from rateproof.prove.pressure.pressure import Pressure, unpressed
from rateproof.prove.rejections.rules import Judgement
from rateproof.prove.survey import Counts, Survey, Suspect

__all__ = ["screened"]


def screened(
    log: EventLog,
    policy: Policy,
    tolerance: Tolerance,
    judgement: Judgement,
    *,
    over_admission: bool,
) -> Survey | None:
    """Survey a log natively.

    Args:
        log: what clients saw.
        policy: what was promised.
        tolerance: what clocks may disagree on.
        judgement: how its rejections are judged.
        over_admission: whether it will be searched for over-admission.

    Returns:
        None where there is no native core, or the log is not one for it (times
        more than 2**61 ns apart, 2**32 rows or more).
    """
    native = core.native()
    if native is None or not len(log):
        return None
    same_clock = tolerance == EXACT
    exact, tolerated = Model.of(policy, EXACT), Model.of(policy, tolerance)
    rules = {
        "exact": exact.figures(),
        "tolerated": None if same_clock else tolerated.figures(),
        "exact_families": exact.family_figures(),
        "tolerated_families": None if same_clock else tolerated.family_figures(),
        "whole": judgement.fresh and not judgement.cut_off,
        "rejections": _rejections(judgement, tolerance),
        "fresh": judgement.fresh,
        "over": over_admission,
    }
    found = native.screen(columns_of(log), rules, len(os.sched_getaffinity(0)))
    if found is None:
        return None
    suspects = [suspect[0] for suspect in found["suspects"]]
    orders = (found["densest"], found["closest"], found["busiest"])
    pressed = first_of_each(*([code for code, *_ in order] for order in orders))
    rows = _Rows(log, list(dict.fromkeys([*suspects, *pressed])), marked=found["marked"])
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
            Suspect(
                partial(rows.key_log, code),
                None if broken is None else partial(rows.key_log, code, broken),
                *costs,
            )
            for code, broken, *costs in found["suspects"]
        ],
        wrong_if_exact=found["wrong_if_exact"],
        wrong_if_unknown=found["wrong_if_unknown"],
        closest=tuple(
            ClosestCall.of(words[code], policy, quota, margin_ns)
            for code, quota, margin_ns in found["closest"]
        ),
        pressed=[partial(rows.key_log, code) for code in pressed],
    )


def _rejections(judgement: Judgement, tolerance: Tolerance) -> dict[str, Any] | None:
    """How rejections are judged; None if they are not."""
    rules = judgement.rules(tolerance)
    if not rules:
        return None
    logs = judgement.logs(tolerance)
    return {
        "exact": [astuple(rule) for rule in judgement.rules(EXACT)],
        "tolerated": [astuple(rule) for rule in rules],
        "horizon_ns": max(rule.horizon_ns for rule in rules),
        "denied_count": judgement.denied_count,
        "logs": [astuple(log) for log in logs],
    }


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
    """The rows of some keys, sought when the first of them is looked at.

    The last key is kept: it is asked for again, and one may have most of the log.
    """

    def __init__(self, log: EventLog, codes: list[int], *, marked: bool) -> None:
        self._log = log
        self._codes = codes
        self._marked = marked
        self._rows: dict[int, bytes] | None = None
        self._last: tuple[tuple[int, tuple[int, int] | None], KeyLog] | None = None

    def key_log(self, code: int, within: tuple[int, int] | None = None) -> KeyLog:
        """The requests of the key with this code.

        Args:
            code: of the key.
            within: only those sent and answered from one instant to another.
        """
        if self._last is None or self._last[0] != (code, within):
            self._last = None  # never two of them at once
            self._last = (code, within), self._observed(code, within)
        return self._last[1]

    def _observed(self, code: int, within: tuple[int, int] | None) -> KeyLog:
        if self._rows is None:
            from rateproof import _native

            key = stored(self._log, "key")
            found = _native.rows_of(key, len(self._log), self._codes)
            self._rows = dict(zip(self._codes, found, strict=True))
        rows: Sequence[int] = memoryview(self._rows[code]).cast("q")
        if within is not None:
            first_ns, last_ns = within
            sent, received = self._log.ints("sent_ns"), self._log.ints("received_ns")
            rows = [r for r in rows if first_ns <= sent[r] and first_ns <= received[r] <= last_ns]
        (key_log,) = observe(self._log, rows, marked=self._marked).values()
        return key_log
