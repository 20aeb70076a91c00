"""Sources of the values of options: flags, the environment, the settings file.

    rateproof serve --port 8081         a flag wins over
    RATEPROOF_PORT=8081                 the environment, which wins over
    port = 8081                         the table of the verb in the settings file,
                                        which wins over the default

An option has one name and one text form: `on_full` is `--on-full`,
`RATEPROOF_ON_FULL` and `on_full = "admit"`. Only verbs that say so look at the
environment and at such a file.
"""

import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rateproof.errors import InvalidArgument, told_by
from rateproof.options.forms import merged
from rateproof.options.shared import DEFAULT_URL
from rateproof.options.tables import LIMITS
from rateproof.options.verb import Verb
from rateproof.output import say

if TYPE_CHECKING:
    from rateproof.options.settings_file import SettingsFile

_PREFIX: Final = "RATEPROOF_"
_FILE: Final = "config"
_PAIRS: Final = frozenset({"headers", "query"})
_SHADOW: Final = "a server that keeps it lets everything pass, and is judged as if it did not"

Texts = str | list[str]
Accept = Callable[[dict[str, Any]], object]


class Known(NamedTuple):
    """Contents of a settings file: the words that lead to it, and the values that then hold."""

    words: tuple[str, ...]
    values: Mapping[str, Any]


class Run(NamedTuple):
    """One of the tests that a command asks for.

    Args:
        endpoint: its name in the settings file; None: what is tested is told otherwise.
        values: of every option.
        known: what the file tells of it.
    """

    endpoint: str | None
    values: dict[str, Any]
    known: Known


class Sources:
    """The flags and the environment as they were at the start, and the file as it is.

    `flags` has the text of each by the name of its option, of one that may be repeated all of
    them. A variable that is empty is not set.
    """

    def __init__(
        self, verb: Verb, flags: Mapping[str, Texts], environment: Mapping[str, str] | None = None
    ) -> None:
        self.verb = verb
        self._told: dict[str, tuple[Texts, str]] = {}
        here = environment or {} if verb.environment else {}
        names = [*(each.name for each in filter(verb.filed, verb.options)), _FILE]
        self._variables = [_PREFIX + name.upper() for name in [*names, "core"]]
        for name, variable in zip(names, self._variables, strict=False):
            if text := here.get(variable):
                self._told[name] = text, variable
        self._strange = sorted(
            name for name in here if name.startswith(_PREFIX) and name not in self._variables
        )
        for option in verb.options:
            if option.name in flags:
                self._told[option.name] = flags[option.name], option.flag

    @cached_property
    def file(self) -> Path | None:
        """The settings file, if one is named or found."""
        if not self.verb.config:
            return None
        if _FILE in self._told:
            return Path(str(self._told[_FILE][0]))
        from rateproof.options.settings_file import find_settings

        try:
            here = Path.cwd()
            found = find_settings(here)
            return found and Path(os.path.relpath(found, here))
        except OSError:  # this folder is gone
            return None

    @property
    def notice(self) -> str | None:
        """A line that names the settings file; None without one, or with one that is nothing."""
        if self.file is None or self.file == Path(os.devnull):
            return None
        from rateproof.options.settings_file import shown_file

        return f"settings  {shown_file(self.file)}"

    @property
    def warning(self) -> str | None:
        """A warning of variables that look like settings and are none; None without such."""
        if not self._strange:
            return None
        accepted = ", ".join(name.removeprefix(_PREFIX) for name in self._variables)
        return (
            f"WARNING: {', '.join(self._strange)} in the environment: no setting, so ignored "
            f"({_PREFIX} and one of {accepted})"
        )

    @property
    def told(self) -> dict[str, str]:
        """Texts of the options that stand in the environment or on the command line, by name."""
        return {name: str(text) for name, (text, _) in self._told.items() if name != _FILE}

    def read(self, accept: Accept | None = None) -> dict[str, Any]:
        """The value of every option, by its name inside the program, the file read anew.

        `accept` raises InvalidArgument for what cannot be, given one value alone.
        """
        file = self._file(self._told.keys(), accept)
        return self._under(file, file.values, self._otherwise(accept))

    def runs(self) -> list[Run]:
        """The tests that are asked for: of each endpoint, where no URL is told without one."""
        file, told = self._file(), self._otherwise()
        elsewhere = _without_server(file.values)
        values = elsewhere if "url" in told else file.values
        words = ("--config", str(self.file)) if _FILE in self._told else ()
        chosen: tuple[str, ...] = told.get("endpoints", ())
        if not chosen and ("url" in told or not file.endpoints):
            known = Known(words, self._under(file, elsewhere, strict=False))
            return [Run(None, self._under(file, values, told), known)]
        base = told.pop("url", None)
        words = (*([base] if base else []), *words)
        base = base or file.values.get("url") or DEFAULT_URL
        runs = []
        for name in chosen or [each["name"] for each in file.endpoints]:
            each = file.endpoint(name)
            each = each | {"url": _at(base, each["url"])}
            filed = self._under(file, values, each, strict=False)
            here = self._under(file, values, each, told)
            runs.append(Run(name, here, Known((*words, "--endpoint", name), filed)))
        return runs

    def _under(
        self, file: "SettingsFile", *tables: dict[str, Any], strict: bool = True
    ) -> dict[str, Any]:
        """The defaults under what is told, the stronger later.

        A limit comes just under the strongest that names it, the only one there is under all. If
        `strict`, several are an error where neither one of them nor a policy is told.
        """
        found = self.verb.defaults()
        naming = [place for place, table in enumerate(tables) if table.get("limit")]
        at = naming[-1] if naming else 0
        name = tables[at].get("limit")
        limits = file.limits if "limit" in found else {}
        if name is None and len(limits) == 1:
            (name,) = limits
        if name is None and limits and strict and not any("policy" in each for each in tables):
            hint = f"limit = NAME in [{self.verb.name}], --limit NAME, or --policy"
            names = ", ".join(limits)
            raise InvalidArgument(f"{file.shown} has several {LIMITS.name}: {names}", hint)
        for place, table in enumerate(tables):
            if place == at and name is not None:
                limit = file.limit(name)
                found |= {key: limit[key] for key in limit.keys() & found.keys()}
                if strict and limit.get("shadow") and "shadow" not in found:
                    say(f"limit {name!r} of {file.shown} is in shadow mode: {_SHADOW}")
            pairs = {
                each: merged(found.get(each, ()), table[each]) for each in _PAIRS & table.keys()
            }
            found |= table | pairs
        return found

    def _otherwise(self, accept: Accept | None = None) -> dict[str, Any]:
        """The values of flags and of the environment."""
        found = {}
        for option in self.verb.options:
            if option.name in self._told:
                texts, source = self._told[option.name]
                found[option.inside] = option.read_text(texts, source)
                if accept is not None and self.verb.filed(option):
                    with told_by(source):
                        accept({option.inside: found[option.inside]})
        return found

    def _file(self, told: Collection[str] = (), accept: Accept | None = None) -> "SettingsFile":
        from rateproof.options.settings_file import SettingsFile, read_settings

        if self.file is None:
            return SettingsFile()
        chosen, _ = self._told.get("endpoint", ((), ""))
        return read_settings(self.file, self.verb, told, accept, chosen)


def _without_server(values: Mapping[str, Any]) -> dict[str, Any]:
    """A table without the server that is started for its own URL: another may be somebody's."""
    return {name: each for name, each in values.items() if name not in {"start", "nemesis"}}


def _at(base: str, url: str) -> str:
    """A URL, or a path behind that of a base."""
    return base.partition("?")[0].rstrip("/") + url if url.startswith("/") else url
