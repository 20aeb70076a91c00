"""Load for another machine: whoever is at the terminal is asked first."""

import sys

from rateproof.errors import InvalidArgument
from rateproof.output import say
from rateproof.simulate.target import Target

OFF_LOOPBACK_RATE = 100.0
"""Requests a second to another machine, unless told otherwise."""


def allow_target(target: Target, *, yes: bool) -> bool:
    """Make sure that load may be sent: a person is asked where it is another machine.

    Returns:
        False when the person at the terminal said no.

    Raises:
        InvalidArgument: another machine, nobody to ask, and not `yes`.
    """
    if yes or target.is_loopback:
        return True
    if not has_terminal():
        raise InvalidArgument(
            f"{target.host} is not this machine, and there is no terminal to ask at",
            "give --yes to send load there",
        )
    return confirm(f"{target.host} is not this machine. Send load to it?")


def allowed_rate(target: Target, max_rate: float | None) -> float | None:
    """The most requests a second to send: as told, else 100 to another machine, said on stderr."""
    if max_rate is None and not target.is_loopback:
        say(f"{target.host} is not this machine: at most {OFF_LOOPBACK_RATE:g} requests a second")
        return OFF_LOOPBACK_RATE
    return max_rate


def has_terminal() -> bool:
    """True if there is somebody to ask: stdin is a terminal, and not closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str) -> bool:
    """Ask yes or no; anything but y or yes, the end of input and Ctrl-C are a no."""
    try:
        answer = ask(f"{question} [y/N] ")
    except KeyboardInterrupt:
        return False
    return answer is not None and answer.strip().lower() in {"y", "yes"}


def ask(prompt: str) -> str | None:
    """Ask on stderr for a line.

    Returns:
        None at the end of input.

    Raises:
        KeyboardInterrupt: on Ctrl-C, with the line on the screen ended.
    """
    say(prompt, end="")
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        say()
        return "\N{REPLACEMENT CHARACTER}"
    except KeyboardInterrupt:
        say()
        raise
    if not line:
        say()
        return None
    return line
