"""What the machine must grant before hundreds of connections can be opened."""

import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rateproof.errors import InvalidArgument

__all__ = [
    "MAX_CONNECTIONS",
    "check_connections",
    "ensure_descriptors",
    "small_stacks",
    "spare_descriptors",
]

MAX_CONNECTIONS = 10_000
"""At most as many connections, each with a thread of its own."""

_STACK_BYTES = 512 * 1024
_SPARE = 64

_stack_lock = threading.Lock()


def check_connections(connections: int, max_connections: int | None) -> None:
    """Accept a scenario that can be run with a thread for each connection.

    Args:
        connections: how many it has in all.
        max_connections: how many of them it wants open at once; None: all.

    Raises:
        InvalidArgument: too many, or fewer open ones than connections.
    """
    if connections > MAX_CONNECTIONS:
        raise InvalidArgument(
            f"{connections} connections are too many for the threads transport",
            f"at most {MAX_CONNECTIONS}, or use the native transport",
        )
    if max_connections is not None and max_connections < connections:
        raise InvalidArgument(
            f"max_connections is {max_connections}, with {connections} connections in all",
            "the threads transport has one for each: the native transport can share them",
        )


def ensure_descriptors(connections: int) -> None:
    """Raise the soft limit of open files where it is too small for so many connections.

    Raises:
        InvalidArgument: the hard limit is too small as well; says how many are needed.
    """
    needed = _open_files() + connections + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        except (ValueError, OSError):
            pass  # macOS has a lower limit of its own than it says
        else:
            return
    raise InvalidArgument(
        f"{connections} connections need {needed} open files, the limit is {max(soft, hard)}",
        f"use fewer clients, or allow more: ulimit -n {needed}",
    )


def spare_descriptors(connections: int) -> int:
    """How many more connections could be opened beside so many; raises the soft limit for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(0, soft - _open_files() - connections - _SPARE)


def _open_files() -> int:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return _SPARE


@contextmanager
def small_stacks() -> Iterator[None]:
    """Threads started meanwhile get 512 KiB of stack: 10,000 of them 5 GiB of addresses."""
    with _stack_lock:
        before = threading.stack_size(_STACK_BYTES)
        try:
            yield
        finally:
            threading.stack_size(before)
