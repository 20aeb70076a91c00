"""Claims about the live view: it shows the figures as they are, and its keys act on the run."""

import asyncio
import importlib.util
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from rateproof.clock import ManualClock
from rateproof.events import Event, EventLog
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.client import live
from rateproof.simulate.client.console import Attention
from rateproof.simulate.client.figures import Figures
from rateproof.simulate.client.view import View
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.summary import Summary
from rateproof.simulate.target import Target
from rateproof.units import SECOND_NS

ROOT = Path(__file__).parents[3]
MS = 1_000_000
HEADING = Scenario(target=Target.parse("http://127.0.0.1:8080/"), groups=(Group(Think()),), seed=7)


class Feed:
    """A run that sends nothing: its figures are fed by hand, by a clock that stands still."""

    def __init__(self, clients: int = 10) -> None:
        self.clock = ManualClock()
        self.control = Control()
        self.figures = Figures(
            clients,
            Summary(clients),
            extra=lambda: self.control.extra_clients,
            now_ns=self.clock.now_ns,
        )
        self.attention = Attention(now_ns=self.clock.now_ns)

    def events(self, count: int, **values: Any) -> None:
        table = EventLog()
        base = {"key": b"c-1", "sent_ns": 0, "received_ns": 1, "status": 200}
        base |= {"outcome": "admitted", "done_ns": 2 * MS, "intended_ns": 0}
        table.extend(Event(**(base | values)) for _ in range(count))
        self.figures.observe(table)

    @asynccontextmanager
    async def shown(self, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[None]]:
        view = View(self.figures, self.control, HEADING, attention=self.attention)
        async with view.run_test(size=size) as pilot:
            yield pilot


def screen(pilot: Pilot[None]) -> str:
    """The screen as it is now, line by line."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    """Let the view run until something holds."""
    for _ in range(3_000):
        await pilot.pause(0.02)
        if holds():
            return
    pytest.fail(f"it never came true; the screen shows\n{screen(pilot)}")


async def shows(pilot: Pilot[None], text: str) -> None:
    """Let the view run until it shows the text."""
    await until(pilot, lambda: text in screen(pilot))


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(_awaited(test), 120))


async def _awaited(test: Callable[[], Awaitable[None]]) -> None:
    await test()


def test_it_shows_the_target_the_behaviour_the_seed_and_every_figure() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            feed.clock.advance(SECOND_NS)
            feed.events(30)
            feed.events(8, status=503, outcome="rejected")
            feed.events(2, status=None, received_ns=None, outcome="unknown", error="reset")
            feed.clock.advance(SECOND_NS)
            await shows(pilot, "sent 40")
            text = screen(pilot)
        for part in (
            "http://127.0.0.1:8080/  think  seed 7",
            " 2 s",
            "clients 10",
            "rate 20/s",
            "sent 40",
            "✓ admitted 30",
            "\N{MULTIPLICATION SIGN} rejected 8",
            "! errors 2",
            "on schedule, lag p99 0.0 ms",
            "any other key ends",
        ):
            assert part in text
        assert re.search(r"latency p50 +█ 2.0 ms", text)
        crosses = "\N{MULTIPLICATION SIGN}" * 8
        assert re.search(rf"^ c-1 +✓{{30}}{crosses}!!$", text, re.MULTILINE)

    run(test)


def test_plus_and_minus_change_the_clients_by_a_tenth_and_leave_one() -> None:
    feed = Feed(clients=25)

    async def test() -> None:
        async with feed.shown() as pilot:
            await pilot.press("plus")
            await until(pilot, lambda: feed.control.extra_clients == 2)
            await shows(pilot, "clients 27")
            await pilot.press(*["minus"] * 26)
            await until(pilot, lambda: feed.figures.clients == 1)
            await shows(pilot, "one client has to stay")
            assert not feed.control.stopping

    run(test)


def test_b_bursts_and_p_pauses_and_goes_on() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            await pilot.press("b", "b")
            await until(pilot, lambda: feed.control.bursts == 2)
            await pilot.press("p")
            await until(pilot, lambda: feed.control.paused)
            await shows(pilot, "paused")
            await pilot.press("p")
            await until(pilot, lambda: not feed.control.paused)
            await until(pilot, lambda: "paused" not in screen(pilot))

    run(test)


def test_the_question_mark_explains_the_keys_and_the_marks_until_pressed_again() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            feed.events(3)
            await pilot.press("question_mark")
            await shows(pilot, "any other key  ends the run")
            assert "✓ admitted  \N{MULTIPLICATION SIGN} rejected  ! errors" in screen(pilot)
            await pilot.press("question_mark")
            await shows(pilot, "c-1")
            assert "ends the run" not in screen(pilot)

    run(test)


def test_escape_closes_the_help_and_ends_nothing() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            feed.events(3)
            await pilot.press("question_mark")
            await shows(pilot, "any other key  ends the run")
            await pilot.press("escape")
            await shows(pilot, "c-1")
            assert not feed.control.stopping
            await pilot.press("escape")
            await until(pilot, lambda: feed.control.stopping)

    run(test)


@pytest.mark.parametrize(
    "key", ["x", "enter", "space", "escape", "up", "tab", "ctrl+c", "ctrl+q", "ctrl+p", "f1", "é"]
)
def test_any_other_key_drains_says_so_and_ends_when_the_run_is_over(key: str) -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            await pilot.press(key)
            await until(pilot, lambda: feed.control.stopping)
            await shows(pilot, "draining: requests in flight finish")
            assert pilot.app.is_running
            feed.figures.finished = True
            await until(pilot, lambda: not pilot.app.is_running)
        assert pilot.app.return_code == 0

    run(test)


def test_a_signal_drains_and_a_run_that_ends_by_itself_ends_the_view() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            feed.attention.ask()
            await until(pilot, lambda: feed.control.stopping)
            feed.figures.finished = True
            await until(pilot, lambda: not pilot.app.is_running)

    run(test)


@pytest.mark.parametrize("signalled_first", [False, True])
def test_a_second_key_or_signal_gives_up_what_is_in_flight(
    *,
    signalled_first: bool,
) -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            for number in range(2):
                if signalled_first is (number == 0):
                    feed.attention.ask()
                else:
                    await pilot.press("x")
                await until(pilot, lambda: feed.control.stopping)
                assert number == 1 or not feed.control.abandoned
                feed.clock.advance(SECOND_NS)
            await until(pilot, lambda: feed.control.abandoned)
            await shows(pilot, "giving up what is in flight")
            feed.figures.finished = True
            await until(pilot, lambda: not pilot.app.is_running)

    run(test)


def test_capital_letters_are_the_same_keys() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            await pilot.press("B", "P")
            await until(pilot, lambda: feed.control.paused)
            assert (feed.control.bursts, feed.control.stopping) == (1, False)

    run(test)


@pytest.mark.parametrize("size", [(200, 60), (80, 24), (40, 12), (20, 8), (5, 2), (1, 1)])
def test_it_fits_a_terminal_of_any_size(size: tuple[int, int]) -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            feed.events(100)
            for number in range(20):
                feed.events(1, key=b"c-%d" % number)
            await shows(pilot, "sent 120")
            await pilot.resize_terminal(*size)
            await until(pilot, lambda: len(screen(pilot).split("\n")) == size[1])
            await pilot.pause(0.3)
            lines = screen(pilot).split("\n")
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
            if size[1] >= 8:
                assert lines[-1].startswith(" + -")
                assert "http" in lines[0]
            if size[0] == 40:
                assert "✓ 120  \N{MULTIPLICATION SIGN} 0  ! 0" in "\n".join(lines)

    run(test)


def test_a_generator_that_lags_is_told_while_it_lags() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            feed.events(9, sent_ns=11 * MS, received_ns=12 * MS, done_ns=13 * MS)
            await shows(pilot, "! behind schedule, lag p99 11.0 ms")
            feed.clock.advance(11 * SECOND_NS)
            feed.events(9)
            await shows(pilot, "on schedule, lag p99 0.0 ms")

    run(test)


def test_what_a_server_or_a_key_holds_does_not_act_on_the_terminal() -> None:
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            feed.events(1, key=b"\x1b[2J[red]\xff\n")
            await shows(pilot, "[red]")
            text = screen(pilot)
            assert "\x1b" not in text
            assert len(text.split("\n")) == 24

    run(test)


def test_every_part_is_one_of_few() -> None:
    """The view asks for nothing but what it draws: no widget of it takes the focus."""
    feed = Feed()

    async def test() -> None:
        async with feed.shown() as pilot:
            assert {type(widget) for widget in pilot.app.screen.children} == {Static}
            assert pilot.app.focused is None

    run(test)


# ------------------------------------------------------------- figures


def test_seconds_are_closed_one_by_one_with_their_own_median() -> None:
    feed = Feed()
    feed.events(3, done_ns=4 * MS)
    feed.clock.advance(SECOND_NS)
    feed.events(2, done_ns=6 * MS)
    feed.clock.advance(3 * SECOND_NS)
    seconds = feed.figures.glimpse().seconds
    assert seconds == ((3, 4 * MS), (2, 6 * MS), (0, None), (0, None))
    feed.clock.advance(1_000 * SECOND_NS)
    assert len(feed.figures.glimpse().seconds) == 60


def test_the_rate_is_of_the_last_two_seconds() -> None:
    feed = Feed()
    for _ in range(50):
        feed.clock.advance(SECOND_NS // 10)
        feed.events(10)
    assert feed.figures.glimpse().rate_per_s == pytest.approx(100, rel=0.06)
    feed.clock.advance(2 * SECOND_NS)
    assert feed.figures.glimpse().rate_per_s == 0


def test_lanes_are_of_the_first_eight_clients_and_hold_their_last_forty_marks() -> None:
    feed = Feed()
    for number in range(20):
        feed.events(60, key=b"c-%d" % number)
        feed.events(1, key=b"c-%d" % number, error="oversized")
    lanes = feed.figures.glimpse().lanes
    assert lanes == tuple((f"c-{number}", "✓" * 39 + "!") for number in range(8))


def test_a_large_table_costs_the_view_no_more_than_a_small_one() -> None:
    feed = Feed()
    feed.events(20_000)
    assert feed.figures.glimpse().requests == 20_000
    assert len(feed.figures._second_ns) <= 64


# ------------------------------------------------------------- where it is shown


@pytest.mark.parametrize("missing", ["textual", "terminal", "cursor"])
def test_it_is_not_shown_where_it_cannot_be(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The integration tests show that it is where nothing is missing."""
    found = object()
    monkeypatch.setattr(live, "find_spec", lambda _: None if missing == "textual" else found)
    monkeypatch.setenv("TERM", "dumb" if missing == "cursor" else "xterm")
    assert not live.can_view()


def test_the_picture_in_the_docs_is_of_this_view() -> None:
    spec = importlib.util.spec_from_file_location("live_view", ROOT / "scripts" / "live_view.py")
    assert spec is not None
    assert spec.loader is not None
    script: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    drawn = asyncio.run(script.draw())
    kept = script.PICTURE.read_text(encoding="utf-8")
    assert _words(drawn) == _words(kept), "run scripts/live_view.py"
    assert len(kept) < 60_000
    assert set(re.findall(r"https?://[\w.]+", kept)) <= {
        "http://127.0.0.1",
        "http://www.w3.org",
        "https://www.textualize.io",
    }


def _words(picture: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture)
