"""What belongs to one event loop: its connections, and how many of them ask at once."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["Lane", "Lanes"]

AT_ONCE: Final = 64
"""Coroutines of one loop that wait for the server at once; the others wait for them."""


class Lane(NamedTuple):
    """The client of one event loop, and the gate to it."""

    client: Any
    gate: asyncio.Semaphore


class Lanes:
    """A client of redis.asyncio for each event loop: connections belong to the loop they began in.

    Args:
        make: a new client.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lanes: dict[asyncio.AbstractEventLoop, Lane] = {}
        self._closing: list[asyncio.Task[None]] = []  # a loop itself forgets its tasks

    def current(self) -> Lane:
        """The lane of the running loop."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            for old in [each for each in self._lanes if each.is_closed()]:
                self._lanes.pop(old, None)
            lane = self._lanes[loop] = Lane(self._make(), asyncio.Semaphore(AT_ONCE))
        return lane

    def close(self) -> None:
        """Close the clients of the loops that still run; soon, since that is for their loop to do."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        for loop, lane in self._lanes.items():
            if loop is here:
                self._closing.append(loop.create_task(lane.client.aclose()))
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(lane.client.aclose(), loop)
        self._lanes.clear()
