"""The screen of a log: which of its keys have to be looked at one by one.

The native screen clears nearly every key without an object for an event: it knows
against which a search would find nothing, and what it would spend on that. Without it,
or where a log is not one for it, every key is a suspect. The verdict is the same.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any

from rateproof import core, linux
from rateproof.clock import EXACT, Tolerance
from rateproof.events import EventLog
from rateproof.events.judged import columns_of
from rateproof.policy import Policy
from rateproof.prove.headers import Headers
from rateproof.prove.keys import Counts, KeyLog, by_digest, observe
from rateproof.prove.over_admission.families import Model
from rateproof.prove.power.pressure import (
    ClosestCall,
    Pressure,
    first_of_each,
    measure,
    rank,
    unpressed,
)
from rateproof.prove.wrong_rejection.rules import Judgement


@dataclass(frozen=True, slots=True)
class Suspect:
    """A key against which something may be found.

    The first three costs are positions that a search for over-admission would decide
    again to find nothing; None where only the search can tell.

    Args:
        load: gives its requests.
        broken: gives those among which a window certainly holds too many; None
            where no such window is known.
        tolerated: the cost under the tolerance.
        exact: the cost had the clocks agreed.
        unknown: the cost had the unknown requests that ended been admitted.
        wrong: whether any of its rejections may be wrong.
        joint: the cost of explaining all of its rejections together, a search
            over orders of decisions; None where it is to be made.
        nested: the most that certainly lie in a window of each quota, under the tolerance;
            none where that has to be counted.
        number: orders the suspects by the digests of their keys, where they do not come so.
    """

    load: Callable[[], KeyLog]
    broken: Callable[[], KeyLog] | None = None
    tolerated: int | None = None
    exact: int | None = None
    unknown: int | None = None
    wrong: bool = True
    joint: int | None = None
    nested: Sequence[int] = ()
    number: int = 0


@dataclass(frozen=True, slots=True)
class Survey:
    """The knowledge of a log before anything is searched.

    Args:
        counts: what is in it.
        pressure: how hard it pressed, one for each quota in policy order.
        longest_ns: the longest way from sending to answer; None where an
            answer was lost, or there is none.
        suspects: the keys to look at, by digest.
        wrong_if_exact: whether a rejection of any key would be wrong, had the
            clocks agreed; None if that is not known yet.
        wrong_if_unknown: the same, had no unknown request been admitted.
        closest: the keys that came closest to more than is allowed.
        pressed: give the requests of the keys that pressed hardest.
        suspected: the codes of the suspects; None where nothing is known of any key.
        by_key: the log as the native core has it, for what else is asked of it.
        headers: what became of the header fields, of a log in pieces.
    """

    counts: Counts
    pressure: tuple[Pressure, ...]
    longest_ns: int | None
    suspects: Sequence[Suspect]
    wrong_if_exact: bool | None = None
    wrong_if_unknown: bool | None = None
    closest: tuple[ClosestCall, ...] = ()
    pressed: Sequence[Callable[[], KeyLog]] = ()
    suspected: frozenset[int] | None = None
    by_key: Any = None
    headers: Headers | None = None

    def clears(self, key: KeyLog) -> bool:
        """Tell whether it is known that a search finds nothing against this key."""
        doubted = bool(self.wrong_if_exact or self.wrong_if_unknown)
        known = self.suspected is not None and not (doubted and key.rejected)
        return known and key.code not in (self.suspected or ())


def survey(log: EventLog, policy: Policy, tolerance: Tolerance, judgement: Judgement) -> Survey:
    """Count and measure a log, with an object for each event; every key is a suspect."""
    keys = by_digest(observe(log))
    return survey_of(keys, policy, tolerance, replace(judgement, longest_ns=_longest(keys)))


def survey_of(
    keys: Sequence[KeyLog], policy: Policy, tolerance: Tolerance, judgement: Judgement
) -> Survey:
    """Count and measure some keys of a log, of which `judgement` knows what concerns them all."""
    counts = Counts(
        keys=len(keys),
        events=sum(len(key.admitted) + len(key.rejected) + len(key.unknown) for key in keys),
        admitted=sum(len(key.admitted) for key in keys),
        rejected=sum(len(key.rejected) for key in keys),
        unknown=sum(len(key.unknown) for key in keys),
        judged=sum(len(judgement.judged(key, tolerance)) for key in keys),
    )
    suspects = [Suspect(partial(_same, key)) for key in keys]
    closest, pressed = rank(keys, policy)
    return Survey(
        counts,
        measure(keys, policy),
        judgement.longest_ns,
        suspects,
        closest=closest,
        pressed=pressed,
    )


def _same(key: KeyLog) -> KeyLog:
    return key


def _longest(keys: Collection[KeyLog]) -> int | None:
    if any(key.unknown for key in keys):
        return None
    known = (job for key in keys for job in (*key.admitted, *key.rejected))
    return max((received_ns - sent_ns for sent_ns, received_ns in known), default=None)


def screened(
    log: EventLog,
    policy: Policy,
    tolerance: Tolerance,
    judgement: Judgement,
    *,
    over_admission: bool,
) -> Survey | None:
    """Survey a log natively.

    Returns:
        None where there is no native core, or the log is not one for it (times
        more than 2**61 ns apart, 2**30 rows or more).
    """
    native = core.native()
    by_key = None if native is None or not len(log) else native.ByKey.of(columns_of(log))
    if by_key is None:
        return None
    rules = rules_of(policy, tolerance, judgement, over_admission=over_admission)
    found = by_key.screen(rules, linux.processors())
    suspects = [suspect[0] for suspect in found["suspects"]]
    orders = (found["densest"], found["closest"], found["busiest"])
    pressed = first_of_each(*([code for code, *_ in order] for order in orders))
    rows = Rows(log, list(dict.fromkeys([*suspects, *pressed])), marked=found["marked"])
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
        suspected=frozenset(suspects),
        by_key=by_key,
    )


def rules_of(
    policy: Policy, tolerance: Tolerance, judgement: Judgement, *, over_admission: bool
) -> dict[str, Any]:
    """The rules of a screen as the native core takes them."""
    return {
        "exact": _promised(policy, EXACT),
        "tolerated": None if tolerance == EXACT else _promised(policy, tolerance),
        "whole": judgement.whole,
        "rejections": _rejections(judgement, tolerance),
        "fresh": judgement.fresh,
        "since_ns": judgement.since_ns,
        "longest_ns": None,
        "over": over_admission,
    }


def _promised(policy: Policy, tolerance: Tolerance) -> tuple[Any, Any]:
    """The gaps and the families of a policy as the native core takes them."""
    model = Model.of(policy, tolerance)
    families = [(f.algorithm, f.limit, f.window_ns, *astuple(f.tolerance)) for f in model.families]
    return [stair.figures() for stair in model.stairs], families


def _rejections(judgement: Judgement, tolerance: Tolerance) -> dict[str, Any] | None:
    rules = judgement.rules(tolerance)
    if not rules:
        return None
    logs = judgement.logs(tolerance)
    return {
        "exact": [astuple(rule) for rule in judgement.rules(EXACT)],
        "tolerated": [astuple(rule) for rule in rules],
        "horizon_ns": max(rule.horizon_ns for rule in rules),
        "denied_count": judgement.denied_count,
        "until_ns": judgement.until_ns,
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


class Rows:
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
        """The requests of the key with this code."""
        if self._last is None or self._last[0] != (code, within):
            self._last = None  # never two of them at once
            self._last = (code, within), self._observed(code, within)
        return self._last[1]

    def _observed(self, code: int, within: tuple[int, int] | None) -> KeyLog:
        if self._rows is None:
            from rateproof import _native

            key = self._log.stored("key")
            found = _native.rows_of(key, len(self._log), self._codes)
            self._rows = dict(zip(self._codes, found, strict=True))
        rows: Sequence[int] = memoryview(self._rows[code]).cast("q")
        if within is not None:
            first_ns, last_ns = within
            sent, received = self._log.ints("sent_ns"), self._log.ints("received_ns")
            rows = [r for r in rows if first_ns <= sent[r] and first_ns <= received[r] <= last_ns]
        (key_log,) = observe(self._log, rows, marked=self._marked)
        return key_log
