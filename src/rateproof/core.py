"""The core in use: the native one (Rust) or plain Python.

The environment variable RATEPROOF_CORE forces one (`native` or `python`);
without it the native core is used where it was built.
"""

import os
from types import ModuleType

from rateproof.errors import InvalidArgument, RateproofError

__all__ = ["active_core", "native", "required_native"]

INSTALL = "`make env` builds it (needs Rust); elsewhere install rateproof anew"
"""The remedy where the native core is missing."""


def native() -> ModuleType | None:
    """The native module, or None when plain Python is active.

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
                INSTALL,
            ) from error
        return None
    return _native


def required_native(what: str) -> ModuleType:
    """The native module, for something that cannot do without it.

    Raises:
        InvalidArgument: it is not in use; the message begins with `what`.
        RateproofError: as for `native`.
    """
    module = native()
    if module is None:
        forced = os.environ.get("RATEPROOF_CORE") == "python"
        hint = "RATEPROOF_CORE=python forbids it" if forced else INSTALL
        raise InvalidArgument(f"{what} needs the native core", hint)
    return module


def active_core() -> str:
    """The name of the core in use: `native` or `python`."""
    return "python" if native() is None else "native"
