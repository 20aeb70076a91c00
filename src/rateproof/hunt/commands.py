"""Commands as they are shown, and the one that repeats what was found."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.settings import TestSettings
from rateproof.options.declared import JUDGING, REQUEST, UNDER_TEST, VERBS
from rateproof.simulate.request import shown_header

# Told otherwise, only sometimes, or again by whoever repeats it.
_ELSEWHERE = {"url", "yes", "nemesis", "no_start", "config", "endpoint", "fresh_keys"}
_HEADER, _QUERY = "--header", "--query"
_SHORT = re.compile("-[^-=dXo]*?H=?")  # other switches may come before it: not what takes the rest
_SHORTEST = {
    _HEADER: len("--hea"),
    _QUERY: len("--q"),
}  # argparse takes any beginning that no other option has: not --he(lp)


def started() -> list[str]:
    """The words that started this process, before its arguments: to be typed again where it was."""
    program = Path(sys.argv[0])
    python = _called(sys.orig_argv[0])
    if program.name == "__main__.py":
        return [python, "-m", program.parent.name]
    return [python, sys.argv[0]] if program.suffix == ".py" else [_called(sys.argv[0])]


def _called(program: str) -> str:
    """A program by its name where the shell finds that one, else from this folder on, or whole."""
    path = Path(program)
    if shutil.which(path.name) == program:
        return path.name
    with suppress(OSError, ValueError):  # this folder is gone, or the program elsewhere
        here = path.relative_to(Path.cwd())
        return str(here) if here.parent.name else program
    return program


def _tester() -> list[str]:
    """The words that start a test: as this one was, if it was one."""
    words = started()
    name = Path(words[-1]).name
    if name == "tester.py":
        return words
    return [*words, "test"] if name == "rateproof" else ["rateproof", "test"]


def command_line(words: Iterable[str]) -> str:
    """The words quoted for a shell; values of headers and parameters are left out.

    A header that never holds a secret is shown (see `shown_header`), and what is told by `@`. Words that are no text, such as the name of a file that is not UTF-8, are escaped.
    """
    shown: list[str] = []
    before = ""
    for word in words:
        option, value = _split(word)
        if before:
            shown.append(_shown(before, word))
        else:
            shown.append(f"{option}{_shown(option, value)}" if option and value else word)
        before = option if not before and not value else ""
    return shlex.join(shown).encode("utf-8", "backslashreplace").decode()


def _split(word: str) -> tuple[str, str]:
    """The flag of what may be a secret and what it has with it; nothing of another word."""
    name, equals, value = word.partition("=")
    for flag, shortest in _SHORTEST.items():
        if len(name) >= shortest and flag.startswith(name):
            return name + equals, value
    if short := _SHORT.match(word):
        return short[0], word[short.end() :]
    return "", ""


def _shown(option: str, told: str) -> str:
    if option.startswith("--q"):
        name, equals, value = told.partition("=")
        shown = value if _is_form(value) else shown_header("", value)
        return f"{name}={shown}" if equals else shown_header("", told)
    if _is_form(told):
        return told
    name, colon, value = told.partition(":")
    if not colon:
        return shown_header("", told)
    text = value.strip(" \t")
    shown = text if _is_form(text) else shown_header(name, text)
    return told if shown == text else f"{name}: {shown}"


def _is_form(text: str) -> bool:
    """Tell if a text names what has the value, a file or a variable."""
    return text.startswith("@") and not text.startswith("@@")


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
    words, known = [*_tester(), *settings.known.words], settings.known.values
    groups = VERBS["test"].groups
    options = {option.name: option for group in groups.values() for option in group}
    if settings.endpoint is None:
        words += [settings.target.url, "--policy", str(settings.policy)]
    else:
        words += options["policy"].words(settings.policy, known)
    words += options["out"].words(settings.out, known)
    for option in (*groups[REQUEST], *groups[JUDGING], *groups[UNDER_TEST]):
        if option.name not in _ELSEWHERE:
            words += option.words(getattr(settings, option.inside), known)
    if iterations is not None and (settings.nemesis or recipe is None):
        words += ["--nemesis", ",".join(settings.nemesis)] if settings.nemesis else []
        # Which iterations there are depends on it.
        words += options["outer_time"].words(settings.outer_time_ns, known)
        words += ["--seed", str(settings.seed), "--iterations", str(iterations)]
    else:
        words += ["--nemesis", "none"] if known["nemesis"] != "none" else []
        words += ["--iterations", "1"] if known["iterations"] else []
    return words if recipe is None else words + recipe.options()
