"""Writing for whoever started the program: data to stdout, everything else to stderr."""

import contextlib
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from textwrap import shorten, wrap
from typing import Final, TextIO

from rateproof.errors import CannotWrite

_LEAST_COLUMNS: Final = 40
_USUAL_COLUMNS: Final = 80

_RED, _GREEN, _AMBER = "31", "32", "33"
_COLOURS: Final = {
    "violated": _RED,
    "crashed": _RED,
    "error": _RED,
    "unreachable": _RED,
    "consistent": _GREEN,
    "inconclusive": _AMBER,
    "not tested": _AMBER,
    "warning": _AMBER,
}
_WORDS: Final = re.compile(
    rf"^((?:iteration \d+: |endpoint [\w.-]+: |rateproof: | *verdict +)?)({'|'.join(_COLOURS)})\b",
    re.MULTILINE | re.IGNORECASE,
)
_COMMAND: Final = re.compile(r" *(command|repeat) ")
_CLEAR: Final = "\r\x1b[K"
_TICK_S: Final = 0.5
_terminal = threading.RLock()
_under_way: list[str] = []
"""Activities, the innermost last; guarded by the lock, as is all that is written."""


def columns(stream: TextIO | None) -> int | None:
    """Characters a line of the terminal behind a stream, at least 40; None if it is none.

    80 where the terminal does not know.
    """
    if stream is None:
        return None
    try:
        if not stream.isatty():
            return None
        known = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return max(_LEAST_COLUMNS, known or _USUAL_COLUMNS)


def fold(line: str, width: int | None, hanging: str = "  ") -> list[str]:
    """A line broken at words where it is wider than that; a longer word stays whole.

    Args:
        line: kept as it is where it fits.
        width: characters a line; None: as many as there are.
        hanging: what the further lines begin with.
    """
    if width is None or len(line) <= width:
        return [line]
    return wrap(
        line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )


def _broken(text: str, width: int | None) -> str:
    """Break lines as `fold` does, with their own indent; a command to be copied stays whole."""
    parts: list[str] = []
    for line in text.split("\n"):
        hanging = " " * (len(line) - len(line.lstrip()) + 2)
        parts += [line] if _COMMAND.match(line) else fold(line, width, hanging)
    return "\n".join(parts)


def printable(text: str) -> str:
    r"""A name from outside as one line of text: what no terminal should get is shown escaped.

    Bytes of a file's name that are no UTF-8 are shown as they are, `\xff`.
    """
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a name, as Python holds it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def say(text: str = "", end: str = "\n") -> None:
    """Write to stderr at once: progress, hints and questions, broken at words on a terminal.

    Nobody there to read them is no reason to stop.
    """
    text = _broken(text, columns(sys.stderr))
    with contextlib.suppress(OSError, ValueError, AttributeError), _terminal:
        _clear_progress()
        _write(sys.stderr, _painted(text, sys.stderr) + end)
        sys.stderr.flush()


def emit(text: str, *, sentences: bool = False) -> None:
    """Write a line of data to stdout at once; sentences are broken at words on a terminal.

    A reader who has gone has had enough (`rateproof check LOG | head -1`): what
    is left is dropped, and the exit code stays what it was to be.

    Raises:
        CannotWrite: the disk is full, or stdout is closed.
    """
    if sys.stdout is None:
        raise CannotWrite("cannot write the result: standard output is closed")
    if sentences:
        text = _broken(text, columns(sys.stdout))
    try:
        with _terminal:
            _clear_progress()
            _write(sys.stdout, _painted(text, sys.stdout) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _discard()
        raise CannotWrite(f"cannot write the result: {error.strerror}") from error


@contextlib.contextmanager
def progress(text: str, seconds: float | Callable[[], float | None]) -> Iterator[None]:
    """Show on a terminal, in one line, what goes on and how long it still takes; elsewhere nothing.

    Args:
        text: what it is; cut where the line is full.
        seconds: how long the body will take, as far as is known; or gives, each time, how long it
            still takes, None while nobody knows.
    """
    width = columns(sys.stderr)
    if width is None or os.environ.get("TERM") == "dumb":
        yield
        return
    ended = threading.Event()
    until_s = 0.0 if callable(seconds) else time.monotonic() + seconds

    def show() -> None:
        while not ended.is_set():
            left_s = seconds() if callable(seconds) else until_s - time.monotonic()
            left = "" if left_s is None else f" {max(0, math.ceil(left_s))} s left"
            line = shorten(text, width - len(left) - 1, placeholder=" …") + left
            with contextlib.suppress(OSError, ValueError), _terminal:
                if _under_way[-1:] == [text] and not ended.is_set():
                    _write(sys.stderr, _CLEAR + line)
                    sys.stderr.flush()
            ended.wait(_TICK_S)

    with _terminal:
        _under_way.append(text)
    ticker = threading.Thread(target=show, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        ended.set()
        ticker.join()
        with contextlib.suppress(OSError, ValueError), _terminal:
            _clear_progress()
            _under_way.remove(text)


def _clear_progress() -> None:
    """Take the line of progress away before something else is written; the next tick shows it."""
    if _under_way:
        _write(sys.stderr, _CLEAR)
        sys.stderr.flush()


def _painted(text: str, stream: TextIO) -> str:
    """Colour the words that say how it stands, where a person looks: see https://no-color.org."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return _WORDS.sub(
        lambda found: f"{found[1]}\x1b[1;{_COLOURS[found[2].lower()]}m{found[2]}\x1b[0m", text
    )


def _write(stream: TextIO, text: str) -> None:
    """Write what the stream's encoding has; the rest in ASCII."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        plain = text.replace("\N{HORIZONTAL ELLIPSIS}", "...")
        plain = plain.replace("\N{MULTIPLICATION SIGN}", "x").replace("\N{MICRO SIGN}", "u")
        stream.write(plain.encode("ascii", "backslashreplace").decode("ascii"))


def _discard() -> None:
    """Give stdout a place that takes everything: what it still holds must not fail at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
