"""Things that only Linux has: nothing else in the package asks the system for it.

Where it is missing, what needs it ends with one error (`required`), or goes on with less: nobody
says which processes a server has, what room a machine has for ports, or when it was booted.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rateproof.errors import InvalidArgument

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - what is ours in it is checked

_LISTEN: Final = "0A"
_LARGE_PAGE: Final = 2 << 20


def required(what: str) -> None:
    """Go on where this is Linux.

    Raises:
        InvalidArgument: it is not; the message begins with `what`.
    """
    if sys.platform != "linux":
        raise InvalidArgument(
            f"{what} needs Linux; this is {sys.platform}", "run it in a container, or on Linux"
        )


def check_system() -> None:
    """Go on where the package can be loaded, if not be used: Linux and macOS.

    Raises:
        InvalidArgument: another system.
    """
    if sys.platform not in {"linux", "darwin"}:
        required("rateproof")


def processors() -> int:
    """Number of processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def interrupting_none() -> Iterator[None]:
    """Meanwhile this thread, and those that it starts, interrupt no other when they wake up.

    Their share of a processor stays the same (SCHED_BATCH of sched(7)). A thread that does not run by
    the usual rules keeps its own, and so does each where they cannot be changed.
    """
    changed = False
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            changed = True
    try:
        yield
    finally:
        if changed:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def free_memory() -> int | None:
    """Bytes that can be had without swapping, in this container; None where nobody says."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    free = int(found[1]) * 1024 if found else None
    with suppress(OSError, ValueError):  # "max" where there is no limit
        most = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        free = max(0, most - used) if free is None else min(free, max(0, most - used))
    return free


def room(size: int) -> memoryview:
    """Writable zero bytes, in large pages where there are any: a log's are all written soon."""
    if sys.platform != "linux" or size < _LARGE_PAGE:
        return memoryview(bytearray(size))
    import mmap

    mapped = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(mapped)


def memory_file(name: str) -> int:
    """Descriptor of a new file without a place: it goes with the processes that have it.

    Raises:
        InvalidArgument: this is not Linux.
    """
    required("a server's board")
    return os.memfd_create(name)


def path_of(descriptor: int) -> str:
    """A path by which other processes of this machine open what a descriptor of ours is."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def descriptors() -> int | None:
    """Number of files that this process has open; None where that is not to be had."""
    try:
        return sum(1 for _ in os.scandir("/proc/self/fd"))
    except OSError:
        return None


def outgoing_ports() -> range | None:
    """The ports that connections from this machine have; None where nobody says."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        low, high = map(int, text.split())
    except (OSError, ValueError):
        return None
    return range(low, high + 1)


def boot_id() -> str | None:
    """Name of the time since this machine was booted; None where nobody gives one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def clocksource() -> str:
    """Name of what the machine's clock is read from."""
    path = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    return path.read_text().strip() if path.is_file() else "unknown"


def time_namespace() -> tuple[str, int] | None:
    """Name of this process's time namespace, and by how many seconds its clock is ahead.

    None where there are none.
    """
    try:
        found = str(Path("/proc/self/ns/time").readlink())
        lines = Path("/proc/self/timens_offsets").read_text()
    except OSError:
        return None
    offset = re.search(r"^monotonic\s+(-?\d+)", lines, re.MULTILINE)
    return found, int(offset[1]) if offset else 0


def shows_processes() -> bool:
    """Tell if it can be seen which processes belong to a server, and one of them be held."""
    return Path("/proc/self/task").is_dir() and hasattr(os, "pidfd_open")


def hold_process(pid: int) -> int:
    """Descriptor of a process: no other can be mistaken for it once it is gone.

    Raises:
        ProcessLookupError: there is none.
    """
    required("a nemesis")
    return os.pidfd_open(pid)


def signal_process(descriptor: int, number: int) -> None:
    """Send a signal to a process that is held.

    Raises:
        ProcessLookupError: it has ended.
    """
    import signal

    required("a nemesis")
    signal.pidfd_send_signal(descriptor, number)


def children(pid: int) -> Iterator[int]:
    """The processes that one has started, by any of its threads."""
    for task in os.scandir(f"/proc/{pid}/task"):
        with Path(task, "children").open(encoding="ascii") as names:
            yield from map(int, names.read().split())


def listening_sockets(pid: int, port: int) -> Iterator[str]:
    """The sockets that listen on a port where a process is, by the names of `sockets_of`."""
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError), Path(f"/proc/{pid}/net/{name}").open() as table:
            next(table)
            for row in table:
                fields = row.split()
                if fields[3] != _LISTEN:
                    break  # the kernel lists those that listen first
                if int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"


def sockets_of(pid: int) -> Iterator[str]:
    """Names of what a process has open, of sockets and of others."""
    for descriptor in os.scandir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            yield str(Path(descriptor).readlink())
