"""The live view: a screen of figures, and keys that act on the run. Needs textual."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Static

from rateproof.simulate.client.console import BOUND, HELP, Attention, act
from rateproof.simulate.client.figures import FAILED, LEGEND, MARK_OF, Figures, Glimpse
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Scenario

if TYPE_CHECKING:
    from textual.timer import Timer

_TICK_S = 0.1
_SAID_S = 3.0
_BARS = " ▁▂▃▄▅▆▇█"
_LABEL = 14
_VALUE = 14
_LANE_KEY = 20
_WIDE = 60
_CELL = 22
_STYLES = {MARK_OF["admitted"]: "$success", MARK_OF["rejected"]: "$warning", FAILED: "$error"}
_KEYS = (("+", ""), ("-", "clients"), ("b", "burst"), ("p", "pause"), ("?", "help"))


class View(App[None], inherit_bindings=False):
    """Shows the figures of a run ten times a second, until they are finished.

    It speaks to the run through its control alone. Marks and words carry the
    meaning; colour only repeats it.

    Args:
        figures: of the run.
        control: of the run.
        scenario: that is run; it stands above the figures.
        start: called once the view is up.
        attention: who asks from outside, as by a signal; keys ask there too.
    """

    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar = [Binding("ctrl+z", "suspend_process", priority=True)]
    CSS = """
    Screen { background: $background; overflow: hidden; }
    Static { text-wrap: nowrap; text-overflow: ellipsis; height: auto; padding: 0 1; }
    #head { background: $primary; color: $text; text-style: bold; }
    #totals { margin: 1 0; }
    #lanes { height: 1fr; margin: 1 0 0 0; }
    #bottom { height: 2; dock: bottom; }
    """

    def __init__(
        self,
        figures: Figures,
        control: Control,
        scenario: Scenario,
        *,
        start: Callable[[], None] = lambda: None,
        attention: Attention | None = None,
    ) -> None:
        super().__init__()
        self._figures = figures
        self._control = control
        self._scenario = scenario
        self._start = start
        self._attention = attention or Attention()
        names = ("head", "totals", "sparks", "lanes", "bottom")
        self._parts = {name: Static(id=name, markup=False) for name in names}
        self._help = False
        self._said = ""
        self._hushing: Timer | None = None

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom; the lanes take what is left."""
        yield from self._parts.values()

    def on_mount(self) -> None:
        """Draw at once, and then again and again."""
        self._tick()
        self.set_interval(_TICK_S, self._tick)
        self.call_after_refresh(self._start)

    def _hush(self) -> None:
        self._said = ""

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._draw()

    def on_key(self, event: events.Key) -> None:
        """Act on a bound key; any other one ends the run."""
        event.stop()
        event.prevent_default()
        key = event.character or ""
        if self._help and event.key == "escape":
            self._help = False
        elif key and key in BOUND:
            if key == "?":
                self._help = not self._help
            self._said = act(key, self._control, self._figures.clients) or ""
            if self._hushing is not None:
                self._hushing.stop()
            self._hushing = self.set_timer(_SAID_S, self._hush)
        else:
            self._attention.ask()
            self._attention.obey(self._control)
        self._draw()

    def on_paste(self) -> None:
        """Take a paste for keys that are not ours."""
        self._attention.ask()

    def _tick(self) -> None:
        self._attention.obey(self._control)
        if self._figures.finished:
            self.exit()
        else:
            self._draw()

    def _draw(self) -> None:
        now = self._figures.glimpse()
        width = max(1, self.size.width - 2)
        self._put("head", _head(self._scenario, now, width))
        self._put("totals", _totals(now, width))
        self._put("sparks", _sparks(now, width))
        self._put("lanes", _help() if self._help else _lanes(now, width))
        self._put("bottom", Content("\n").join([self._note(now), _keys()]))

    def _put(self, name: str, content: Content) -> None:
        part = self._parts[name]
        if part.is_attached:  # a last tick may come while the screen is taken down
            part.update(content)

    def _note(self, now: Glimpse) -> Content:
        if self._control.abandoned:
            return Content.styled("giving up what is in flight", "bold $warning")
        if self._control.stopping:
            text = "draining: requests in flight finish; again to give up what is in flight"
            return Content.styled(text, "bold $warning")
        if self._control.paused:
            return Content.styled("paused: p goes on", "bold $warning")
        if now.lag_p99_ns is None:
            return Content(self._said)
        lag = f"lag p99 {_ms(now.lag_p99_ns)}"
        late = now.lag_p99_ns > self._scenario.lag_tolerance_ns
        schedule = (
            ("! behind schedule, ", "$warning") if late else ("on schedule, ", "$foreground-muted")
        )
        return Content.assemble(schedule, lag, f"   {self._said}")


def _head(scenario: Scenario, now: Glimpse, width: int) -> Content:
    behaviours = dict.fromkeys(group.behaviour.name for group in scenario.groups)
    left = f"{scenario.target}  {', '.join(behaviours)}  seed {scenario.seed}"
    right = f"{int(now.elapsed_s)} s"
    return Content(left.ljust(width - len(right) - 1)[: width - len(right) - 1] + f" {right}")


def _totals(now: Glimpse, width: int) -> Content:
    wide = width >= _WIDE
    above = [("clients", now.clients), ("rate", f"{now.rate_per_s:.0f}/s"), ("sent", now.requests)]
    below = [(MARK_OF["admitted"], now.admitted), (MARK_OF["rejected"], now.rejected)]
    below.append((FAILED, now.errors))
    names = dict(LEGEND)
    rows = [[Content.assemble((f"{name} ", "$foreground-muted"), f"{n}") for name, n in above]]
    rows.append(
        [
            Content.assemble(
                (f"{mark} ", _STYLES[mark]), (f"{names[mark]} " * wide, "$foreground-muted"), f"{n}"
            )
            for mark, n in below
        ]
    )
    return Content("\n").join(Content("").join(_spread(row, wide=wide)) for row in rows)


def _spread(cells: Sequence[Content], *, wide: bool) -> list[Content]:
    """Cells in columns, or two spaces apart where the screen is narrow."""
    return [
        Content.assemble(cell, " " * max(2, _CELL - cell.cell_length if wide else 0))
        for cell in cells
    ]


def _sparks(now: Glimpse, width: int) -> Content:
    room = max(0, width - _LABEL - _VALUE)
    p50s = [p50_ns for _, p50_ns in now.seconds]
    rates = [requests for requests, _ in now.seconds]
    p50 = "-" if now.p50_ns is None else _ms(now.p50_ns)
    rows: list[tuple[str, Sequence[int | None], str, str]] = [
        ("latency p50", p50s, "$accent", p50),
        ("rate", rates, "$primary", f"{now.rate_per_s:.0f}/s"),
    ]
    lines = [
        Content.assemble(
            (label.ljust(_LABEL), "$foreground-muted"), (_spark(values, room), colour), f" {value}"
        )
        for label, values, colour, value in rows
    ]
    return Content("\n").join(lines)


def _spark(values: Sequence[int | None], room: int) -> str:
    """A bar for each of the last values, from 0 to the greatest of them; none for no value."""
    shown = values[-room:] if room else ()
    top = max(filter(None, shown), default=1)
    bars = "".join(_BARS[-(-(value or 0) * (len(_BARS) - 1) // top)] for value in shown)
    return bars.rjust(min(room, 60))


def _lanes(now: Glimpse, width: int) -> Content:
    lines = [Content.styled("the last requests of the first clients", "$foreground-muted")]
    for lane, all_marks in now.lanes:
        marks = all_marks[-max(1, width - _LANE_KEY) :]
        coloured = [("".join(run), _STYLES[mark]) for mark, run in groupby(marks)]
        key = lane[: _LANE_KEY - 2].ljust(_LANE_KEY)
        lines.append(Content.assemble((key, "$foreground-muted"), *coloured))
    return Content("\n").join(lines)


def _help() -> Content:
    lines = [Content.assemble((f"{keys:>14}  ", "bold"), what) for keys, what in HELP]
    marks = "  ".join(f"{mark} {name}" for mark, name in LEGEND)
    return Content("\n").join([*lines, Content.styled(f"{'':>16}{marks}", "$foreground-muted")])


def _keys() -> Content:
    parts: list[Content] = []
    for key, what in _KEYS:
        parts.append(Content.assemble((f"{key} ", "bold $accent"), f"{what}  " if what else ""))
    return Content("").join([*parts, Content("any other key ends")])


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.1f} ms"
