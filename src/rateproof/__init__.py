"""rateproof: HTTP rate limiting you can prove.

A limiter that is exact across threads and processes, a simulator of client
traffic, and a prover that tells from the clients' side whether a limit held.

    >>> from rateproof import Limiter
    >>> with Limiter("5 per 5s") as limiter:
    ...     limiter.hit("client-7").admitted
    True

Each name is loaded when it is first used, so importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rateproof.clock import Clock, ManualClock, SystemClock
    from rateproof.enforce import Decision, Limiter, QuotaState
    from rateproof.enforce.http import AsgiRateLimitMiddleware, ClientAddress, RateLimitMiddleware
    from rateproof.errors import (
        CannotWrite,
        InvalidArgument,
        InvalidPolicy,
        LogError,
        NeverPossible,
        RateproofError,
        StoreError,
        StoreMismatch,
        StoreUnreachable,
        Unreachable,
    )
    from rateproof.events import Event, EventLog, read_log
    from rateproof.keyspec import KeySpec
    from rateproof.options.settings_file import NamedLimit, read_limit
    from rateproof.policy import Policy, Quota
    from rateproof.prove import Verdict, judge

__version__ = "0.1.0"

__all__ = [
    "AsgiRateLimitMiddleware",
    "CannotWrite",
    "ClientAddress",
    "Clock",
    "Decision",
    "Event",
    "EventLog",
    "InvalidArgument",
    "InvalidPolicy",
    "KeySpec",
    "Limiter",
    "LogError",
    "ManualClock",
    "NamedLimit",
    "NeverPossible",
    "Policy",
    "Quota",
    "QuotaState",
    "RateLimitMiddleware",
    "RateproofError",
    "StoreError",
    "StoreMismatch",
    "StoreUnreachable",
    "SystemClock",
    "Unreachable",
    "Verdict",
    "__version__",
    "judge",
    "read_limit",
    "read_log",
]

_HOMES = {
    "rateproof.clock": ("Clock", "ManualClock", "SystemClock"),
    "rateproof.enforce": ("Decision", "Limiter", "QuotaState"),
    "rateproof.enforce.http": ("AsgiRateLimitMiddleware", "ClientAddress", "RateLimitMiddleware"),
    "rateproof.events": ("Event", "EventLog", "read_log"),
    "rateproof.keyspec": ("KeySpec",),
    "rateproof.options.settings_file": ("NamedLimit", "read_limit"),
    "rateproof.policy": ("Policy", "Quota"),
    "rateproof.prove": ("Verdict", "judge"),
}
_HOME_OF = dict.fromkeys(__all__, "rateproof.errors")  # of all others
_HOME_OF |= {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rateproof.linux import check_system

    check_system()
    value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
