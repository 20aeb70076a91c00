"""The charts of the page, each as the JSON that BokehJS draws.

Outcomes differ by colour, hatching, dashes and markers. The colours are near Okabe
and Ito's ("Color Universal Design", 2008), with a contrast of more than 3 to white
and to black paper; everything else takes its colour from `page.css`. No text of a chart comes from a server or a
key: BokehJS takes some text for TeX, and some for HTML.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from bokeh.embed import json_item
from bokeh.models import DataRange1d, HoverTool, NumeralTickFormatter, Range1d
from bokeh.models.annotations import BoxAnnotation, Legend, LegendItem
from bokeh.plotting import ColumnDataSource, figure

from rateproof.events import ADMITTED, REJECTED, UNKNOWN
from rateproof.hunt.report.clip import Clip, Request
from rateproof.hunt.report.findings import Incident
from rateproof.hunt.report.rates import OTHER, Rates
from rateproof.simulate.histogram import Histogram
from rateproof.simulate.summary import Summary
from rateproof.units import SECOND_NS

__all__ = ["latency_chart", "timeline_chart", "traffic_chart"]

_OUTCOMES: Final = (ADMITTED, REJECTED, UNKNOWN)
_COLOURS: Final = {ADMITTED: "#1F83C9", REJECTED: "#D55E00", UNKNOWN: "#8C8C8C"}
_HATCHES: Final = {ADMITTED: " ", REJECTED: "/", UNKNOWN: "x"}
_DASHES: Final = {ADMITTED: "solid", REJECTED: "dashed", UNKNOWN: "dotted"}
_MARKERS: Final = {ADMITTED: "circle", REJECTED: "x", UNKNOWN: "triangle"}
_INCIDENT: Final = "#CC79A7"
_INK: Final = "#012345"  # stands for the colour of the page's text: see page.js

_MOST_BANDS = 6
_STEP: Final = 10 ** (1 / 12)
_MS: Final = 1_000_000


def traffic_chart(rates: Rates, incidents: Sequence[Incident]) -> dict[str, Any]:
    """Answers a second over time, stacked by status, and above them what befell the server."""
    plot = _figure(
        "seconds since the first request", "requests a second", 280, y_range=_from_zero()
    )
    width_s = rates.width_ns / SECOND_NS
    left = [width_s * step for step in range(rates.used)]
    level = [0.0] * len(left)
    items = []
    for label, outcome, per_s in _bands(rates):
        top = [low + height for low, height in zip(level, per_s, strict=True)]
        right = [start + width_s for start in left]
        bars = plot.quad(
            source=_source(
                left=left,
                right=right,
                bottom=level,
                top=top,
                per_s=per_s,
                label=[label] * len(left),
            ),
            fill_color=_COLOURS[outcome],
            line_color=None,
            hatch_pattern=_HATCHES[outcome],
            hatch_color="white",
            hatch_alpha=0.4,
            hatch_scale=7,
        )
        tips = [("answer", "@label"), ("from", "@left{0.00} s"), ("a second", "@per_s{0.0}")]
        items.append(_explained(plot, label, tips, bars))
        level = top
    if incidents:
        source = _source(
            at_s=[incident.at_s for incident in incidents],
            level=[1.08 * max(level, default=1.0)] * len(incidents),
            iteration=[incident.iteration for incident in incidents],
        )
        marks = plot.scatter(
            "at_s", "level", source=source, marker="inverted_triangle", size=12, color=_INCIDENT
        )
        tips = [("crash or action at", "@at_s{0.00} s"), ("iteration", "@iteration")]
        items.append(_explained(plot, "crash or action", tips, marks))
    return _item(plot, items)


def _bands(rates: Rates) -> list[tuple[str, str, list[float]]]:
    """Label, outcome and requests a second, the admitted at the bottom; the rare ones together."""
    totals = list(rates.totals)
    own = [label for label in totals if label != OTHER][:_MOST_BANDS]
    bands = [(label, rates.outcomes[label], rates.per_s(label).tolist()) for label in own]
    bands.sort(key=lambda band: _OUTCOMES.index(band[1]))
    rest = [rates.per_s(label) for label in totals if label not in own]
    return [*bands, (OTHER, UNKNOWN, sum(rest[1:], rest[0]).tolist())] if rest else bands


def latency_chart(summary: Summary) -> dict[str, Any]:
    """Shares of each outcome by latency, on a logarithmic scale."""
    plot = _figure(
        "milliseconds until the answer",
        "% of the requests",
        260,
        x_axis_type="log",
        y_range=_from_zero(),
    )
    plot.xaxis.formatter = NumeralTickFormatter(format="0[.]000")
    items = []
    for outcome in _OUTCOMES:
        times = summary.latencies(outcome)
        if not times.count:
            continue
        edges, shares = _shares(times)
        milliseconds = [edge / _MS for edge in edges]
        line = plot.step(
            "ms",
            "share",
            source=_source(ms=milliseconds, share=shares, outcome=[outcome] * len(edges)),
            mode="before",
            line_width=2.5,
            line_color=_COLOURS[outcome],
            line_dash=_DASHES[outcome],
        )
        tips = [("", "@outcome"), ("up to", "@ms{0.000} ms"), ("share", "@share{0.0} %")]
        items.append(_explained(plot, outcome, tips, line, mode="vline"))
    return _item(plot, items)


def _shares(times: Histogram) -> tuple[list[float], list[float]]:
    """Upper edges in ns, twelve to a decade, and the share of the requests below each, in %."""
    edge, seen = max(1_000.0, float(times.min or 0)), 0
    edges, shares = [], []
    buckets, count = sorted(times.buckets.items()), times.count
    while buckets:
        while buckets and buckets[0][0] <= edge:
            seen += buckets.pop(0)[1]
        edges.append(edge)
        shares.append(100 * seen / count)
        edge *= _STEP
    return edges, shares


def timeline_chart(clip: Clip) -> dict[str, Any]:
    """One client's requests from sent to answered, in order, and the window they lie in."""
    height = min(520, max(200, 90 + 14 * len(clip.requests)))
    rows = Range1d(start=len(clip.requests) - 0.4, end=-0.6)
    plot = _figure("seconds since the window opened", "requests, in order", height, y_range=rows)
    if clip.close_ns is not None:
        close_s = clip.close_ns / SECOND_NS
        plot.x_range = Range1d(start=-close_s / 20, end=close_s)
    window_s = clip.evidence.window_ns / SECOND_NS
    plot.add_layout(
        BoxAnnotation(left=0, right=window_s, fill_color="#F0E442", fill_alpha=0.18, level="image")
    )
    items = []
    for outcome in _OUTCOMES:
        mine = [(n, r) for n, r in enumerate(clip.requests) if r.outcome == outcome]
        if not mine:
            continue
        source = _source(**_columns(clip, mine))
        bars = plot.segment(
            x0="sent_s", x1="end_s", y0="row", y1="row", source=source, line_width=3
        )
        marks = plot.scatter("sent_s", "row", source=source, marker=_MARKERS[outcome], size="size")
        for glyph in (bars.glyph, marks.glyph):
            glyph.line_color = _COLOURS[outcome]
            glyph.line_alpha = "strength"
        marks.glyph.fill_color = _COLOURS[outcome]
        marks.glyph.fill_alpha = "strength"
        tips = [
            ("request", "#@number, @outcome (@answer)"),
            ("sent", "@sent_s{0.000000} s"),
            ("answered", "@answered"),
            ("evidence", "@named"),
        ]
        items.append(_explained(plot, outcome, tips, bars, marks))
    plot.yaxis.major_label_text_font_size = "0px"
    plot.yaxis.major_tick_line_color = None
    plot.yaxis.minor_tick_line_color = None
    plot.ygrid.visible = False
    return _item(plot, items)


def _columns(clip: Clip, requests: Iterable[tuple[int, Request]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for row, request in requests:
        sent_s = (request.sent_ns - clip.opens_ns) / SECOND_NS
        end_ns = request.received_ns
        end_s = sent_s if end_ns is None else (end_ns - clip.opens_ns) / SECOND_NS
        for name, value in {
            "row": row,
            "number": request.number,
            "sent_s": sent_s,
            "end_s": end_s,
            "answered": "never" if end_ns is None else f"{end_s:.6f} s",
            "answer": request.answer,
            "outcome": request.outcome,
            "named": "yes" if request.named else "no",
            "size": 10 if request.named else 7,
            "strength": 1.0 if request.named else 0.45,
        }.items():
            columns.setdefault(name, []).append(value)
    return columns


def _explained(
    plot: figure, label: str, tips: list[tuple[str, str]], *glyphs: Any, mode: Any = "mouse"
) -> LegendItem:
    """Give glyphs their tips, by the last of them, and a place in the legend."""
    plot.add_tools(HoverTool(tooltips=tips, renderers=list(glyphs[-1:]), mode=mode))
    return LegendItem(label=label, renderers=list(glyphs))


def _source(**columns: list[Any]) -> ColumnDataSource:
    return ColumnDataSource(columns)


def _from_zero() -> DataRange1d:
    return DataRange1d(start=0)


def _figure(across: str, up: str, height: int, **options: Any) -> figure:
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        tools="xpan,xbox_zoom,reset",
        x_axis_label=across,
        y_axis_label=up,
        **options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.background_fill_alpha = plot.border_fill_alpha = 0
    plot.outline_line_color = None
    return plot


def _item(plot: figure, items: list[LegendItem]) -> dict[str, Any]:
    legend = Legend(
        items=items,
        orientation="horizontal",
        background_fill_alpha=0,
        border_line_color=None,
        label_text_color=_INK,
    )
    plot.add_layout(legend, "above")
    return dict(json_item(plot))
