"""Commands as they are shown, and the one that repeats what was found."""

import shlex
from collections.abc import Iterable

from rateproof.events import REJECTED_STATUSES, listed
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.server.starting import may_be_ours
from rateproof.hunt.settings import TestSettings
from rateproof.prove import CLAIMS
from rateproof.prove.terms import CLAIM_SETS
from rateproof.simulate.withheld import shown_header
from rateproof.units import format_duration

__all__ = ["command_line", "repeat_command"]

_HEADER = "--header"
_SHORTEST = len("--hea")  # argparse takes any beginning that no other option has: not --he(lp)

_KEY, _METHOD, _TOLERANCE, _TIMEOUT = "query:clientId", "GET", "500ppm", "10s"


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
    key, method = str(settings.key), settings.method
    granularity_ns, rejected = settings.granularity_ns, settings.rejected_statuses
    tolerance, timeout = f"{settings.tolerance_ppm}ppm", format_duration(settings.timeout_ns)
    options = [
        ("--policy", str(settings.policy)),
        ("--key", None if key == _KEY else key),
        ("--claim", _claim(settings.claims)),
        ("--tolerance", None if tolerance == _TOLERANCE else tolerance),
        ("--granularity", format_duration(granularity_ns) if granularity_ns else None),
        ("--timeout", None if timeout == _TIMEOUT else timeout),
        ("--method", None if method == _METHOD else method),
        *(("--header", f"{name}: {value}") for name, value in settings.headers),
        ("--data", _data(settings)),
        ("--rejected", None if rejected == REJECTED_STATUSES else listed(rejected)),
        ("--max-rate", None if settings.max_rate is None else f"{settings.max_rate:g}"),
        ("--transport", settings.transport),
        ("--cacert", settings.ca_file),
        ("--start", settings.start),
    ]
    if iterations is not None and (settings.nemesis or recipe is None):
        options += [
            ("--nemesis", ",".join(settings.nemesis) or None),
            ("--seed", str(settings.seed)),
            ("--iterations", str(iterations)),
        ]
    given = [word for name, value in options if value is not None for word in (name, value)]
    somebody_elses = not settings.may_start and may_be_ours(settings.target)
    flags = (
        ("--insecure", settings.insecure),
        ("--count-denied", settings.denied_count),
        ("--no-start", somebody_elses and settings.start is None),
    )
    alone = [flag for flag, given in flags if given]
    what = [] if recipe is None else recipe.options()
    return ["rateproof", "test", settings.target.url, *given, *alone, *what]


def _data(settings: TestSettings) -> str | None:
    """What gives the body again, where a word can: else how long it is."""
    if settings.body_file is not None:
        return f"@{settings.body_file}"
    if not settings.body:
        return None
    text = settings.body.decode("utf-8", "replace")
    is_word = text.encode() == settings.body and text[0] != "@" and "\0" not in text
    return text if is_word else f"[not shown: {len(settings.body)} bytes]"


def _claim(claims: frozenset[str]) -> str | None:
    if claims == CLAIMS:
        return None
    return next(name for name, named in CLAIM_SETS.items() if named == claims)
