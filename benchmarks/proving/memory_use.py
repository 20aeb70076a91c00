"""The most memory that a stretch of the program takes, as Linux counts it."""

import re
from pathlib import Path

_SELF = Path("/proc/self")


def resident() -> int:
    """Bytes in memory now."""
    return _status("VmRSS")


def forget_peak() -> None:
    """From now on the peak counts anew."""
    (_SELF / "clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    """Most bytes in memory since the peak was forgotten."""
    return _status("VmHWM")


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", (_SELF / "status").read_text(encoding="ascii"))
    if found is None:
        raise LookupError(f"/proc/self/status has no {name}")
    return int(found[1]) * 1024
