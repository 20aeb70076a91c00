"""Workers that do something at once: threads of this process, or processes that it forks."""

import mmap
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["Meeting", "in_processes", "in_threads"]

T = TypeVar("T")

_PATIENCE_S = 60


class Meeting:
    """Where two workers wait for each other; processes if they were forked after it was made."""

    def __init__(self) -> None:
        self._places = memoryview(mmap.mmap(-1, 16)).cast("Q")

    def wait(self, me: int, number: int) -> None:
        """Come to the meeting of this number, 1 or more, and go on when the other has too.

        Raises:
            TimeoutError: the other does not come.
        """
        self._places[me] = number
        deadline = time.monotonic() + _PATIENCE_S
        while self._places[1 - me] < number:
            time.sleep(0)
            if time.monotonic() > deadline:
                raise TimeoutError("the other worker does not come")

    def leave(self, me: int) -> None:
        """Come no more: who waits for this worker goes on."""
        self._places[me] = 2**64 - 1


def in_threads(work: Callable[[int], T]) -> list[T]:
    """What `work(0)` and `work(1)` return, done by threads that take turns all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(work, range(2)))
    finally:
        sys.setswitchinterval(interval)


def in_processes(work: Callable[[int], T]) -> list[T]:
    """What `work(0)` and `work(1)` return, done by processes that know all that this one does.

    Raises:
        AssertionError: one of them failed, with its traceback.
    """
    context = get_context("fork")
    workers = []
    try:
        for me in range(2):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_report, args=(sender, work, me), daemon=True)
            process.start()
            sender.close()
            workers.append((process, receiver))
        results: list[T] = [_result(receiver) for _, receiver in workers]
        return results
    finally:
        for process, receiver in workers:
            receiver.close()
            process.kill()
            process.join()


def _report(sender: "Connection", work: Callable[[int], T], me: int) -> None:
    try:
        sender.send((work(me), None))
    except BaseException:  # noqa: BLE001 - all of it is told, in the process that asked
        sender.send((None, traceback.format_exc()))
    # Whoever asked kills this process: what a test had open is closed there alone.
    sender.close()


def _result(receiver: "Connection") -> Any:
    try:
        result, failure = receiver.recv()
    except EOFError:
        raise AssertionError("a process that used the store died") from None
    if failure is not None:
        raise AssertionError(f"in a process that used the store:\n{failure}")
    return result
