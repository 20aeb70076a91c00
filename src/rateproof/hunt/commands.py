"""Commands as they are shown, and the one that repeats what was found."""

import re
import shlex
from collections.abc import Iterable

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.settings import TestSettings
from rateproof.options.declared import JUDGING, LENGTH, REQUEST, UNDER_TEST, VERBS
from rateproof.simulate.request import shown_header

__all__ = ["command_line", "repeat_command"]

# Told otherwise, only sometimes, or again by whoever repeats it.
_ELSEWHERE = {"url", "yes", "nemesis", "no_start"}
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


def repeat_command(
    settings: TestSettings, recipe: Recipe | None, *, iterations: int | None = None
) -> list[str]:
    """The words of the command that runs a recipe against the same target.

    Args:
        settings: what was tested.
        recipe: None: what is drawn from the seed.
        iterations: up to the one that is to be repeated, with its nemesis if there was one;
            None: the recipe alone, without a nemesis.
    """
    words = ["rateproof", "test", settings.target.url, "--policy", str(settings.policy)]
    groups = VERBS["test"].groups
    for option in (*groups[REQUEST], *groups[JUDGING], *groups[UNDER_TEST]):
        if option.name not in _ELSEWHERE:
            words += option.words(getattr(settings, option.inside))
    if iterations is not None and (settings.nemesis or recipe is None):
        words += ["--nemesis", ",".join(settings.nemesis)] if settings.nemesis else []
        (outer,) = (option for option in groups[LENGTH] if option.name == "outer_time")
        words += outer.words(settings.outer_time_ns)  # which iterations there are depends on it
        words += ["--seed", str(settings.seed), "--iterations", str(iterations)]
    return words if recipe is None else words + recipe.options()
