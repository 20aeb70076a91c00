"""Reading ahead: what comes next is made while what came is worked on."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Generator[T]:
    """The items in order; while one is used, a thread makes the next: two are held at a time.

    Raises:
        Exception: what making one raises, at its turn.
    """
    made = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, made, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, made, None)
            yield item
            del item
