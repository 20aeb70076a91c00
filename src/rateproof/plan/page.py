"""A plan as one HTML page that needs no network."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from math import log2
from pathlib import Path
from typing import Any

from rateproof.hunt.report.page import rendered
from rateproof.hunt.report.reporter import write_whole
from rateproof.plan.bounds import Bounds
from rateproof.plan.choice import Choice, limits_to_try
from rateproof.plan.findings import SHARE_NAMES, Plan, requests, share, span
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.prove.evidence.wording import spaced
from rateproof.units import format_duration


def write_page(path: Path, found: Plan) -> None:
    """Write the page.

    Raises:
        CannotWrite: the file cannot be written.
    """
    shown = found.algorithms[0] if found.asked is None else found.asked
    per_bin, timeline = _timeline(found.timeline, shown.timeline)
    length_ns = (found.until_ns - found.since_ns) // max(1, len(timeline))
    template = (files("rateproof.plan") / "assets" / "plan.html").read_text(encoding="utf-8")
    page = rendered(
        template,
        found=found,
        shown=shown,
        rows=found.shown(),
        shares=SHARE_NAMES,
        heat=_heat(found),
        curves=[
            _curve(one.window_ns, told)
            for one, told in zip(found.choices, found.distribution, strict=True)
        ],
        timeline=timeline,
        per_bin=per_bin,
        bin_time=f"{length_ns / 10**9:,.3g} s",
        since=_instant(found.since_ns),
        until=_instant(found.until_ns),
        requests=requests,
        span=span,
        share=share,
    )
    write_whole(path, page)


def _instant(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _heat(found: Plan) -> list[tuple[int, list[dict[str, Any]]]]:
    """Return a row of cells a limit, the largest limit first; a cell a window."""
    by_window: dict[int, dict[int, Bounds]] = {}
    for one in found.grid:
        [quota] = one.policy.quotas
        if quota.record is SLIDING_LOG:
            by_window.setdefault(quota.window_ns, {})[quota.limit] = one
    limits = sorted({limit for choice in found.choices for limit in limits_to_try(choice)})
    return [
        (
            limit,
            [
                _cell(choice, limit, by_window[choice.window_ns].get(limit))
                for choice in found.choices
            ],
        )
        for limit in reversed(limits)
    ]


def _cell(choice: Choice, limit: int, one: Bounds | None) -> dict[str, Any]:
    if one is None:
        kept = limit >= choice.limits[-1]
        title = "kept by all clients" if kept else "more than half of the clients are beyond it"
        return {"heat": 0, "text": "0 %" if kept else "\N{MIDDLE DOT}", "title": title}
    most = one.shares[1]
    heat = 0 if most == 0 else min(85, max(8, 20 * (log2(most) + 14) / 3))
    return {
        "heat": round(heat),
        "text": f"{100 * most:.2g} %",
        "title": f"{one.policy}: {share(one)}, {span(*one.clients)} client{'s' * (one.clients[1] != 1)}",
    }


def _curve(window_ns: int, told: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return columns that grow by doubling: of peaks 1, 2 to 3, 4 to 7 and so on."""
    columns: dict[int, int] = {}
    before = 0
    for peak, below in told:
        place = peak.bit_length() - 1
        columns[place] = columns.get(place, 0) + below - before
        before = below
    count, most = max(columns, default=0) + 1, max(columns.values(), default=1)
    return {
        "window": spaced(window_ns),
        "most": told[-1][0] if told else 0,
        "bars": [
            {
                "left": 100 * place / count,
                "width": 96 / count,
                "height": max(1.0, 100 * clients / most),
                "title": f"{2**place:,} to {2 ** (place + 1) - 1:,} in {format_duration(window_ns)}: {clients:,} client{'s' * (clients != 1)}",
            }
            for place, clients in sorted(columns.items())
        ],
    }


def _timeline(
    requests: Sequence[int], rejected: Sequence[int]
) -> tuple[int, list[dict[str, float]]]:
    """Return the most requests of a bin, and the bins as percent of it."""
    size = len(rejected)
    merged = [0] * size
    for at, count in enumerate(requests):
        merged[at * size // len(requests)] += count
    most = max([1, *merged, *rejected])
    return most, [
        {"all": 100 * one / most, "rejected": 100 * two / most}
        for one, two in zip(merged, rejected, strict=True)
    ]
