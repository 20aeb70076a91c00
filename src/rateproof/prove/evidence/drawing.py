"""Drawings of evidence: in text, in ASCII alone, and in SVG, one file without scripts or fonts."""

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Self, TypeVar

from rateproof.prove.evidence.wording import brief, seconds, spaced
from rateproof.prove.terms import WRONG_REJECTION

DRAWING_WIDTH: Final = 78
"""Characters a line of a drawing in text, where nobody says how many there are."""

_CUT: Final = 4
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Witness:
    """One request of the evidence, as its client saw it.

    Args:
        number: the sequence number within its run, or the row in the log
            where the log does not number requests.
        sent_ns: see `rateproof.events.Event`.
        received_ns: None if no answer came.
        status: the HTTP status, None if no answer came.
        outcome: `admitted`, `rejected` or `unknown`.
    """

    number: int
    sent_ns: int
    received_ns: int | None
    status: int | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing(ABC):
    """The part of evidence that is drawn; `Evidence` explains the fields."""

    claim: str
    policy: str
    events: tuple[Witness, ...]
    window_ns: int
    slack_ns: int
    nested: bool

    @abstractmethod
    def sentence(self) -> str:
        """The evidence in one sentence."""

    def timeline(self, width: int = DRAWING_WIDTH) -> str:
        """The requests and the window, a line each, times relative to the first sent.

        An interval is drawn as `[==]`, a rejected one as `[xx]`, one without an end
        as `[==>`, one narrower than a character as `|`. A window much longer than what
        happened in it is cut off, marked by `>`. Of more than 24 requests those in the
        midst are left out.

        Args:
            width: characters a line, at least 28.
        """
        frame = Frame.of(self)
        pad = max(len(f"#{event.number}") for event in self.events)
        columns = max(_LEAST_WIDTH, width) - pad - _OFFSET - _STATUS - 3
        start_ns = min(event.sent_ns for event in self.events)
        digits = 6 if max(event.sent_ns for event in self.events) - start_ns < _FINE_NS else 3

        def rows(events: Sequence[Witness]) -> list[str]:
            return [
                f"{f'#{event.number}':>{pad}} {(event.sent_ns - start_ns) / 1e9:>{_OFFSET - 2}.{digits}f} s "
                f"{event.status or '-':>{_STATUS}} {_bar(frame, event, columns - 1)}"
                for event in events
            ]

        first, left_out, last = shown(self.events, _MOST_LINES)
        between = [f"{'':>{pad}} ... {left_out} more ..."] if left_out else []
        return "\n".join(
            [*rows(first), *between, *rows(last), *_bracket(self, frame, pad, columns - 1)]
        )

    def svg(self) -> str:
        """The sentence, the window with its slack, and each request's interval by outcome.

        Bars narrower than 4 pixels are drawn 4 wide. Of more than 100 requests those in the
        midst are left out. Light and dark follow the reader's preference.

        Returns:
            A whole file. Every text in it is escaped, for keys come from anybody.
        """
        frame = Frame.of(self)
        sentence = textwrap.wrap(self.sentence(), 112)
        first, left_out, last = shown(self.events, _MOST_ROWS)
        rows = [*first, *([None] if left_out else []), *last]
        top = 40 + _LINE * len(sentence) + 46
        bottom = top + _ROW * len(rows) + 8
        height = bottom + 62
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="evidence" role="img" '
                f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">'
            ),
            f"<title>{escape(self.sentence())}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="back" width="{_WIDTH}" height="{height}"/>',
            _text(20, 30, textwrap.shorten(f"{self.claim}: {self.policy}", 96), "title"),
            *(_text(20, 54 + _LINE * at, line) for at, line in enumerate(sentence)),
            *_axis(frame, top, bottom),
            *_window(self, frame, top - 14, bottom),
        ]
        for at, event in enumerate(rows):
            y = top + _ROW * at
            if event is None:
                parts.append(_text(_LEFT - 12, y + 15, f"{left_out} more", "number quiet"))
            else:
                parts += _row(frame, event, y)
        return "\n".join([*parts, *_legend(rows, height - 14), "</svg>", ""])


@dataclass(frozen=True, slots=True)
class Frame:
    """Instants that a drawing has to place.

    Args:
        first_ns: where it begins.
        last_ns: where it ends, later than `first_ns`.
        opens_ns: where the window begins.
        closes_ns: where it ends; after `last_ns` where the window is so much
            longer than what happened in it that it is cut off.
    """

    first_ns: int
    last_ns: int
    opens_ns: int
    closes_ns: int

    @classmethod
    def of(cls, evidence: Drawing) -> Self:
        """The frame of all requests and of the window."""
        first_ns = min(event.sent_ns for event in evidence.events)
        ends = (e.sent_ns if e.received_ns is None else e.received_ns for e in evidence.events)
        last_ns = max(first_ns + 1, *ends)
        opens_ns = first_ns
        if evidence.claim == WRONG_REJECTION:
            opens_ns = evidence.events[-1].sent_ns - evidence.window_ns
            first_ns = min(first_ns, opens_ns)
        elif evidence.window_ns < _CUT * (last_ns - first_ns):
            last_ns = max(last_ns, first_ns + evidence.window_ns)
        return cls(first_ns, last_ns, opens_ns, opens_ns + evidence.window_ns)

    @property
    def is_cut(self) -> bool:
        """Tell whether the window goes on behind the end."""
        return self.closes_ns > self.last_ns

    def place(self, ns: int, width: int) -> int:
        """Place of an instant, 0 to `width`; outside it is at the edge."""
        along = (ns - self.first_ns) * width // (self.last_ns - self.first_ns)
        return min(width, max(0, along))


def shown(rows: Sequence[T], most: int) -> tuple[Sequence[T], int, Sequence[T]]:
    """Give the rows to draw: the first ones, how many are left out behind them, and the last ones."""
    if len(rows) <= most:
        return rows, 0, ()
    last = most // 3
    return rows[: most - last], len(rows) - most, rows[-last:]


_MOST_LINES: Final = 24
_OFFSET, _STATUS = 11, 3
_FINE_NS: Final = 20_000_000
_LEAST_WIDTH: Final = 28


def _bar(frame: Frame, event: Witness, width: int) -> str:
    left = frame.place(event.sent_ns, width)
    right = width if event.received_ns is None else frame.place(event.received_ns, width)
    if left == right:
        return " " * left + "|"
    fill = "x" if event.outcome == "rejected" else "="
    closing = ">" if event.received_ns is None else "]"
    return " " * left + "[" + fill * (right - left - 1) + closing


def _bracket(evidence: Drawing, frame: Frame, pad: int, width: int) -> list[str]:
    left, right = frame.place(frame.opens_ns, width), frame.place(frame.closes_ns, width)
    closing = ">" if frame.is_cut else ")"
    label = spaced(evidence.window_ns)
    if evidence.slack_ns:
        label += f", {seconds(evidence.slack_ns, up=False)} to spare"
    margin = pad + _OFFSET + _STATUS + 3
    begins = max(0, min(margin, margin + width + 1 - len(label)))
    behind = " " * (_STATUS + 2)
    return [
        f"{'':>{pad}} {'window':>{_OFFSET}}{behind}"[:margin]
        + " " * left
        + "["
        + "-" * (right - left - 1)
        + closing,
        " " * begins + label,
    ]


_MOST_ROWS: Final = 100
_WIDTH, _LEFT, _RIGHT = 900, 150, 28
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_ROW, _LINE = 22, 20
_LEAST_BAR: Final = 4
_TICKS: Final = 6

_STYLE: Final = """\
.evidence { background: #ffffff; font: 13px system-ui, "DejaVu Sans", sans-serif }
.evidence text { fill: #1b1f24 }
.evidence .title { font-weight: 600; font-size: 15px }
.evidence .quiet { fill: #57606a; font-size: 12px }
.evidence .number { text-anchor: end; font-variant-numeric: tabular-nums }
.evidence .tick { text-anchor: middle }
.evidence .back { fill: #ffffff }
.evidence .window { fill: #0969da; fill-opacity: .09 }
.evidence .slack { fill: #0969da; fill-opacity: .16 }
.evidence .bracket { stroke: #0969da; stroke-width: 2; fill: none }
.evidence .label { fill: #0756b0 }
.evidence .grid { stroke: #d0d7de; stroke-width: 1 }
.evidence .admitted { fill: #0a7d3c }
.evidence .rejected { fill: #c8500a }
.evidence .unknown { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
.evidence { background: #0d1117 }
.evidence .back { fill: #0d1117 }
.evidence text { fill: #e6edf3 }
.evidence .quiet { fill: #9da7b3 }
.evidence .window { fill: #58a6ff; fill-opacity: .13 }
.evidence .slack { fill: #58a6ff; fill-opacity: .22 }
.evidence .bracket { stroke: #58a6ff }
.evidence .label { fill: #79b8ff }
.evidence .grid { stroke: #30363d }
.evidence .admitted { fill: #3fb950 }
.evidence .rejected { fill: #f0883e }
.evidence .unknown { fill: #9da7b3 }
}"""


def _x(frame: Frame, ns: int) -> float:
    return _LEFT + frame.place(ns, _PLOT * 10) / 10


def _text(x: float, y: float, text: str, style: str = "") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{named}>{escape(text)}</text>'


def _axis(frame: Frame, top: int, bottom: int) -> list[str]:
    span_ns = frame.last_ns - frame.first_ns
    step_ns = next(
        part * 10**power
        for power in range(20)
        for part in (1, 2, 5)
        if part * 10**power * _TICKS >= span_ns
    )
    parts = []
    for ns in range(frame.first_ns, frame.last_ns + 1, step_ns):
        x = _x(frame, ns)
        parts += [
            f'<line class="grid" x1="{x:g}" y1="{top}" x2="{x:g}" y2="{bottom}"/>',
            _text(x, bottom + 16, brief(ns - frame.first_ns), "tick quiet"),
        ]
    return parts


def _window(evidence: Drawing, frame: Frame, y: int, bottom: int) -> list[str]:
    """The bracket above the requests, open on the right: that instant is a new window."""
    left, right = _x(frame, frame.opens_ns), _x(frame, frame.closes_ns)
    end = f"h{right - left:g} m-7 -5 l7 5 l-7 5" if frame.is_cut else f"h{right - left:g} v8"
    parts = [
        (
            f'<rect class="window" x="{left:g}" y="{y}" width="{right - left:g}" '
            f'height="{bottom - y}"/>'
        )
    ]
    label = f"window of {spaced(evidence.window_ns)}"
    if evidence.claim == WRONG_REJECTION:
        label += f" before request #{evidence.events[-1].number}"
    if evidence.slack_ns:
        label += f", {seconds(evidence.slack_ns, up=False)} to spare"
        begins = max(left, _x(frame, frame.closes_ns - evidence.slack_ns))
        if right > begins and evidence.nested:
            parts.append(
                f'<rect class="slack" x="{begins:g}" y="{y}" width="{right - begins:g}" '
                f'height="{bottom - y}"/>'
            )
    return [
        *parts,
        f'<path class="bracket" d="M{left:g} {y + 8} v-8 {end}"/>',
        _text(left, y - 8, label, "label"),
    ]


def _row(frame: Frame, event: Witness, y: int) -> list[str]:
    left = _x(frame, event.sent_ns)
    ends = event.received_ns if event.received_ns is not None else frame.last_ns
    width = max(_LEAST_BAR, _x(frame, ends) - left)
    status = "no answer" if event.status is None else str(event.status)
    took = "" if event.received_ns is None else f", {brief(event.received_ns - event.sent_ns)}"
    about = f"#{event.number}: {event.outcome} ({status}){took}"
    faded = "" if event.received_ns is not None else ' fill-opacity=".45"'
    return [
        _text(_LEFT - 62, y + 15, f"#{event.number}", "number"),
        _text(_LEFT - 12, y + 15, "-" if event.status is None else status, "number quiet"),
        (
            f'<rect class="{event.outcome}" x="{left:g}" y="{y + 3}" width="{width:g}" height="15" '
            f'rx="2"{faded}><title>{escape(about)}</title></rect>'
        ),
    ]


def _legend(rows: Sequence[Witness | None], y: int) -> list[str]:
    parts = []
    x = _LEFT
    for outcome in ("admitted", "rejected", "unknown"):
        if any(event is not None and event.outcome == outcome for event in rows):
            parts += [
                f'<rect class="{outcome}" x="{x}" y="{y - 11}" width="14" height="12" rx="2"/>',
                _text(x + 20, y, outcome, "quiet"),
            ]
            x += 100
    parts.append(_text(x, y, "each bar: from sending to the answer", "quiet"))
    return parts
