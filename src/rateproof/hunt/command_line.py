"""Commands as they are shown: without secrets, and in text that any file can hold."""

import shlex
from collections.abc import Iterable

from rateproof.simulate.request import shown_header

__all__ = ["command_line"]

_HEADER = "--header"
_SHORTEST = len("--hea")  # argparse takes any beginning that no other option has: not --he(lp)


def command_line(words: Iterable[str]) -> str:
    """The words quoted for a shell; values of headers are left out, see `shown_header`.

    Words that are no text, such as the name of a file that is not UTF-8, are escaped.
    """
    shown: list[str] = []
    follows = False
    for word in words:
        option, equals, value = word.partition("=")
        if follows:
            shown.append(_shown(word))
        elif equals and _is_header(option):
            shown.append(f"{option}={_shown(value)}")
        else:
            shown.append(word)
        follows = not follows and _is_header(word)
    return shlex.join(shown).encode("utf-8", "backslashreplace").decode()


def _is_header(option: str) -> bool:
    return len(option) >= _SHORTEST and _HEADER.startswith(option)


def _shown(header: str) -> str:
    name, colon, value = header.partition(":")
    if not colon:
        return shown_header("", header)
    text = value.strip(" \t")
    shown = shown_header(name, text)
    return header if shown == text else f"{name}: {shown}"
