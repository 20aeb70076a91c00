"""`rateproof service`: replaces this process by a program that decides for every language.

It is the crate `rust/service`, which `make service` builds into this package and a wheel brings
along. No Python is on its path, and the native module has none of it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import rateproof
from rateproof.errors import InvalidArgument

PROGRAM: Final = Path(rateproof.__file__).parent / "bin" / "rateproof-service"


def run_service(file: Path | None, told: Mapping[str, str]) -> NoReturn:
    """Execute the program.

    Args:
        file: the settings file, with a limit at least.
        told: options that win over the file, by name.

    Raises:
        InvalidArgument: there is no settings file, or the program cannot be executed.
    """
    if file is None:
        raise InvalidArgument(
            "no settings file: a service keeps the limits of one",
            "rateproof.toml with [limits.api] and policy = '5 per 5s', or --config FILE",
        )
    words = [str(PROGRAM), "--config", str(file)]
    for name, text in told.items():
        words += [f"--{name}", text]
    try:
        os.execv(PROGRAM, words)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise InvalidArgument(
            f"cannot execute {PROGRAM}: {error.strerror}",
            "in a checkout: make service; a wheel for this machine brings it along",
        ) from None
