"""The core in use: the native one (Rust) or plain Python.

The environment variable RATEPROOF_CORE forces one (`native` or `python`);
without it the native core is used where it was built.
"""

import os
import re
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rateproof import linux
from rateproof.errors import InvalidArgument, RateproofError

INSTALL = "`make env` builds it (needs Rust); elsewhere install a wheel of rateproof (`make wheel`)"
"""The remedy where the native core is missing."""


def _loaded() -> ModuleType | str:
    """The native module, or why there is none."""
    try:
        return import_module("rateproof._native")
    except ModuleNotFoundError:
        return "is not built"
    except ImportError as error:  # of another machine
        return f"cannot be loaded here: {error}"


def native() -> ModuleType | None:
    """The native module, or None when plain Python is active.

    Raises:
        InvalidArgument: RATEPROOF_CORE is neither `native` nor `python`.
        RateproofError: RATEPROOF_CORE is `native` and it cannot be had; or it is older than
            the Python code.
    """
    forced = os.environ.get("RATEPROOF_CORE", "")
    if forced not in {"", "native", "python"}:
        raise InvalidArgument(f"RATEPROOF_CORE is {forced!r}", "use 'native' or 'python'")
    if forced == "python":
        return None
    found = _loaded()
    if isinstance(found, ModuleType):
        _current(found)
        return found
    if forced == "native":
        raise RateproofError(f"RATEPROOF_CORE is 'native', but the native core {found}", INSTALL)
    return None


_DEFINED = re.compile(r"^( {4})?(class|def) (\w+)(?:\(([^)]*)\))?", re.MULTILINE)
_ARGUMENT = re.compile(r"(\w+)\s*:")


@cache
def _current(module: ModuleType) -> None:
    """Refuse a module that has not all that its stub says: it was built from older code.

    Raises:
        RateproofError: the first name that it lacks.
    """
    stub = Path(__file__).with_name("_native.pyi").read_text(encoding="utf-8")
    owner: object = module
    for inside, kind, name, asked in _DEFINED.findall(stub):
        if kind == "class":
            owner = None if name.startswith("_") else getattr(module, name, module)
        holder = owner if inside else module
        if holder is None or (name.startswith("_") and name != "__new__"):
            continue
        found = getattr(holder, name, None)
        takes = getattr(holder if name == "__new__" else found, "__text_signature__", None)
        if found is None or (
            takes and set(_ARGUMENT.findall(asked)) - set(re.findall(r"\w+", takes))
        ):
            raise RateproofError(
                f"the native core is older than the Python code: its {name!r} is another",
                "`make env` builds it anew; elsewhere install rateproof again",
            )


def required_native(what: str) -> ModuleType:
    """The native module, for something that cannot do without it.

    Raises:
        InvalidArgument: it is not in use; the message begins with `what`.
        RateproofError: as for `native`.
    """
    linux.required(what)
    module = native()
    if module is None:
        why = lacking()
        hint = "RATEPROOF_CORE=python forbids it" if why is None else f"it {why}; {INSTALL}"
        raise InvalidArgument(f"{what} needs the native core", hint)
    return module


def active_core() -> str:
    """The name of the core in use: `native` or `python`."""
    return "python" if native() is None else "native"


def lacking() -> str | None:
    """The trouble with the native core, in a few words; None where it is in use or forbidden."""
    if os.environ.get("RATEPROOF_CORE") == "python":
        return None
    found = _loaded()
    return found if isinstance(found, str) else None


def first_remark() -> str | None:
    """The words for an install that ended on the plain core; None where there is nothing to say.

    It is given out once: a file in the state folder of the user remembers it for this install.
    Where no file can be written, it is given out each time.
    """
    why = lacking()
    if why is None:
        return None
    from hashlib import sha256

    install = sha256(os.fsencode(__file__)).hexdigest()[:16]
    with suppress(OSError, RuntimeError):  # the latter: nobody knows where the user's home is
        place = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        mark = place / "rateproof" / f"plain-core-{install}"
        if mark.exists():
            return None
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return (
        f"the native core {why}, so all runs on the plain one: slower, and a limiter counts in one "
        f"process\nhint: {INSTALL}"
    )
