"""Event loops: each has connections of its own, and some of its coroutines ask at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

AT_ONCE: Final = 64
"""Coroutines of one loop that wait for the server at once; the others wait for them."""


class LoopClients:
    """A client of redis.asyncio for each event loop: connections belong to the loop they began in.

    Args:
        make: a new client.
        timeout_s: the longest that a coroutine takes, its wait for others included.
    """

    def __init__(self, make: Callable[[], Any], timeout_s: float) -> None:
        self._make = make
        self._timeout_s = timeout_s
        self._of: dict[asyncio.AbstractEventLoop, tuple[Any, asyncio.Semaphore]] = {}
        self._closing: list[asyncio.Task[None]] = []  # a loop itself forgets its tasks

    @property
    def current(self) -> Any:
        """The client of the running loop."""
        return self._current()[0]

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Wait until a coroutine of the running loop may ask, and have it ask in time.

        True if it has all of the time.
        """
        gate = self._current()[1]
        prompt = not gate.locked()
        async with asyncio.timeout(self._timeout_s), gate:
            yield prompt

    def _current(self) -> tuple[Any, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        if loop not in self._of:
            for old in [each for each in self._of if each.is_closed()]:
                self._of.pop(old, None)
            self._of[loop] = self._make(), asyncio.Semaphore(AT_ONCE)
        return self._of[loop]

    def close(self) -> None:
        """Close the clients of the loops that still run; soon, since that is for their loop to do."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        for loop, (client, _) in self._of.items():
            if loop is here:
                self._closing.append(loop.create_task(client.aclose()))
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)
        self._of.clear()
