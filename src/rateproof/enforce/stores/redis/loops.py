"""Event loops: each has connections of its own, and some of its coroutines ask at once."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

__all__ = ["AT_ONCE", "LoopClients"]

AT_ONCE: Final = 64
"""Coroutines of one loop that wait for the server at once; the others wait for them."""


class LoopClients:
    """A client of redis.asyncio for each event loop: connections belong to the loop they began in.

    Args:
        make: a new client.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._of: dict[asyncio.AbstractEventLoop, tuple[Any, asyncio.Semaphore]] = {}
        self._closing: list[asyncio.Task[None]] = []  # a loop itself forgets its tasks

    def current(self) -> tuple[Any, asyncio.Semaphore]:
        """The client of the running loop, and the gate to it."""
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
