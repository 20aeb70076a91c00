"""Commands as they are shown: without secrets, and in text that any file can hold."""

import re
import shlex
from collections.abc import Iterable

from rateproof.simulate.withheld import shown_header

__all__ = ["command_line"]

_HEADER = "--header"
_SHORT = re.compile("-[^-=dXo]*?H=?")  # other switches may come before it: not what takes the rest
_SHORTEST = len("--hea")  # argparse takes any beginning that no other option has: not --he(lp)


def command_line(words: Iterable[str]) -> str:
    """The words quoted for a shell; values of headers are left out, see `shown_header`.

    Words that are no text, such as the name of a file that is not UTF-8, are escaped.
    """
    shown: list[str] = []
    follows = False
    for word in words:
        option, value = _split(word)
        if follows:
            shown.append(_shown(word))
        else:
            shown.append(f"{option}{_shown(value)}" if option and value else word)
        follows = not follows and bool(option) and not value
    return shlex.join(shown).encode("utf-8", "backslashreplace").decode()


def _split(word: str) -> tuple[str, str]:
    """The flag of a header and what it has with it; nothing of a word that is no such flag."""
    name, equals, value = word.partition("=")
    if len(name) >= _SHORTEST and _HEADER.startswith(name):
        return name + equals, value
    if short := _SHORT.match(word):
        return short[0], word[short.end() :]
    return "", ""


def _shown(header: str) -> str:
    name, colon, value = header.partition(":")
    if not colon:
        return shown_header("", header)
    text = value.strip(" \t")
    shown = shown_header(name, text)
    return header if shown == text else f"{name}: {shown}"
