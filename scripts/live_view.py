"""Draw docs/simulate/live-view.svg: the live view of an imagined run, always the same one."""

import asyncio
import math
import random
import re
from pathlib import Path

from rateproof.clock import ManualClock
from rateproof.events import Event, EventLog
from rateproof.simulate.client.figures import Figures, Heading
from rateproof.simulate.client.view import View
from rateproof.simulate.control import Control
from rateproof.simulate.summary import Summary
from rateproof.units import SECOND_NS

PICTURE = Path(__file__).parent.parent / "docs" / "simulate" / "live-view.svg"

CLIENTS = 12
SECONDS = 48
LIMIT, WINDOW_NS = 5, 5 * SECOND_NS
MS = 1_000_000


def figures() -> Figures:
    """The figures of 12 clients, 48 s after they were let loose on 5 requests per 5 seconds."""
    rng = random.Random(4)
    clock = ManualClock()
    shown = Figures(CLIENTS, Summary(CLIENTS), now_ns=clock.now_ns)
    keys = [b"c-%016x" % rng.getrandbits(64) for _ in range(CLIENTS)]
    next_ns = [round(rng.expovariate(2) * SECOND_NS) for _ in keys]
    admitted: list[list[int]] = [[] for _ in keys]
    for tick in range(10 * SECONDS):
        clock.advance(SECOND_NS // 10)
        batch = EventLog()
        while (sent_ns := min(next_ns)) < (tick + 1) * SECOND_NS // 10:
            client = next_ns.index(sent_ns)
            past = [then for then in admitted[client] if sent_ns - then < WINDOW_NS]
            wave = 1 + 0.6 * math.sin(sent_ns / SECOND_NS / 5)
            done_ns = sent_ns + round(rng.lognormvariate(0.4, 0.2) * wave * MS)
            lost = rng.random() < 0.01
            status = None if lost else 503 if len(past) >= LIMIT else 200
            if status == 200:
                admitted[client] = [*past, sent_ns]
            batch.append(
                Event(
                    key=keys[client],
                    sent_ns=sent_ns,
                    received_ns=None if lost else done_ns,
                    status=status,
                    outcome="unknown" if lost else "admitted" if status == 200 else "rejected",
                    error="reset" if lost else None,
                    intended_ns=sent_ns - rng.randrange(MS // 4),
                    done_ns=done_ns,
                )
            )
            next_ns[client] = done_ns + round(rng.expovariate(2) * SECOND_NS)
        shown.observe(batch)
    return shown


def heading() -> Heading:
    """The description above the figures."""
    return Heading("http://127.0.0.1:8080/", "think", 4, 10 * MS)


async def draw() -> str:
    """The picture, without addresses of fonts: whoever looks at it asks nobody for them."""
    view = View(figures(), Control(), heading())
    async with view.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        picture = view.export_screenshot(title="rateproof simulate")
    without_fonts = re.sub(r"\s*@font-face \{.*?\}\n", "", picture, flags=re.DOTALL)
    return re.sub(r" +$", "", without_fonts, flags=re.MULTILINE)


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(asyncio.run(draw()), encoding="utf-8")
    print(f"{PICTURE.stat().st_size} bytes in {PICTURE.relative_to(PICTURE.parent.parent.parent)}")
