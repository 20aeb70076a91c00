"""File descriptors: what the machine must grant before hundreds of connections can be opened."""

import resource
import sys
from contextlib import suppress

from rateproof.errors import InvalidArgument
from rateproof.linux import descriptors

_SPARE = 64


def ensure_descriptors(connections: int) -> None:
    """Raise the soft limit of open files where it is too small for so many connections.

    Raises:
        InvalidArgument: the hard limit is too small as well; says how many are needed.
    """
    needed = (descriptors() or _SPARE) + connections + _SPARE
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
    """Number of connections that could be opened beside so many; raises the soft limit for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(0, soft - (descriptors() or _SPARE) - connections - _SPARE)
