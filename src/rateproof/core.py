"""Which core runs: the native one (Rust) or the reference one (plain Python).

The environment variable RATEPROOF_CORE forces one (`native` or `python`);
without it the native core is used where it was built.
"""

import os
from types import ModuleType

from rateproof.errors import InvalidArgument, RateproofError

__all__ = ["active_core", "native"]


def native() -> ModuleType | None:
    """The native module, or None when the reference core is active.

    Raises:
        InvalidArgument: RATEPROOF_CORE is neither `native` nor `python`.
        RateproofError: RATEPROOF_CORE is `native` and it was not built.
    """
    forced = os.environ.get("RATEPROOF_CORE", "")
    if forced not in {"", "native", "python"}:
        raise InvalidArgument(f"RATEPROOF_CORE is {forced!r}", "use 'native' or 'python'")
    if forced == "python":
        return None
    try:
        from rateproof import _native
    except ImportError as error:
        if forced == "native":
            raise RateproofError(
                "RATEPROOF_CORE is 'native', but the native core is not built",
                "install with a Rust toolchain on the path, then reinstall rateproof",
            ) from error
        return None
    return _native


def active_core() -> str:
    """The name of the core in use: `native` or `python`."""
    return "python" if native() is None else "native"
