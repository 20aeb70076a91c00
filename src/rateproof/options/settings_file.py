"""The settings file: where it is found, and what it tells a verb.

    [limits.login]                      what is promised, once for the server and its test
    policy = "5 per 5s"

    [test]                              options of a verb, in a table of its name
    url = "http://127.0.0.1:8000"

    [[test.endpoints]]                  one after the other, each with options of its own
    url = "/login"
    limit = "login"

In `pyproject.toml` all of it is below `[tool.rateproof]`. A file that names no such table is one
of `rateproof serve` alone: its options, one a line.
"""

import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.options.declared import VERBS
from rateproof.options.kinds import Option, Section, near
from rateproof.options.lines import Path as Place
from rateproof.options.reader import BAD, Reader
from rateproof.options.shared import SETTINGS_FILES
from rateproof.options.tables import ENDPOINTS, LIMITS
from rateproof.options.verb import Verb
from rateproof.policy import Policy

__all__ = [
    "NamedLimit",
    "SettingsFile",
    "find_settings",
    "read_limit",
    "read_settings",
    "shown_file",
]

Accept = Callable[[dict[str, Any]], object]

_PROJECT: Final = SETTINGS_FILES[1]
_BELOW: Final = ("tool", "rateproof")
_GUIDE: Final = "docs/settings-file.md tells of the tables"
_TABLES: Final = {
    LIMITS.name: LIMITS,
    **{
        verb.name: Option(verb.name, Section({}), verb.summary)
        for verb in VERBS.values()
        if verb.config
    },
}


_NO_VERB: Final = Verb("", "", {}, ("", ""))


class NamedLimit(NamedTuple):
    """A table of `[limits]`.

    Args:
        policy: what is promised.
        key: where a request says whose it is.
        exempt: paths that are not limited.
        shadow: decide and count, but let everything pass.
        cost: units of the policy that a request uses up.
    """

    policy: Policy
    key: KeySpec
    exempt: tuple[str, ...]
    shadow: bool
    cost: int


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The contents of a settings file for one verb, by names inside the program.

    Args:
        path: where it was read; None: there is none.
        values: of the verb's table.
        limits: promises, by name.
        endpoints: of a test; each has a `name` of its own.
    """

    path: Path | None = None
    values: dict[str, Any] = field(default_factory=dict)
    limits: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    endpoints: tuple[dict[str, Any], ...] = ()

    @property
    def shown(self) -> str:
        """The path for people, with the table where that is not the whole file."""
        return shown_file(self.path)

    def limit(self, name: str) -> dict[str, Any]:
        """The promise of this name, for those who count requests: see `_counted`."""
        return _counted(self.named_limit(name))

    def named_limit(self, name: str) -> dict[str, Any]:
        """The table of this name."""
        return self._one(name, self.limits, "limit")

    def endpoint(self, name: str) -> dict[str, Any]:
        """The endpoint of this name."""
        return self._one(name, {each["name"]: each for each in self.endpoints}, "endpoint")

    def _one(self, name: str, among: Mapping[str, dict[str, Any]], what: str) -> dict[str, Any]:
        if name not in among:
            where = ": there is no settings file" if self.path is None else f" in {self.shown}"
            hint = f"one of {', '.join(among)}" if among else "docs/settings-file.md has one"
            raise InvalidArgument(f"no {what} {name!r}{where}", near(name, among) or hint)
        return among[name]


def shown_file(path: Path | None) -> str:
    """A settings file for people."""
    table = f", [{'.'.join(_BELOW)}]" if path and path.name == _PROJECT else ""
    return f"{path}{table}"


def find_settings(folder: Path) -> Path | None:
    """The nearest settings file: of a folder, or of one above it in the same repository.

    Beyond the repository, or in a folder of another owner, nothing is read: what is written there
    may be anybody's, and a file may name a command to start. A `pyproject.toml` counts if it has
    the table.
    """
    owner = _owner(folder)
    above = [folder, *itertools.takewhile(lambda each: _owner(each) == owner, folder.parents)]
    inside = [place for place, each in enumerate(above) if _found((each / ".git").exists)]
    for each in above[: inside[0] + 1 if inside else 1]:
        for name in SETTINGS_FILES:
            path = each / name
            if _found(path.is_file) and (name != _PROJECT or _has_table(path)):
                return path
    return None


def _owner(folder: Path) -> int:
    try:
        return folder.stat().st_uid
    except OSError:
        return -1


def _found(look: Callable[[], bool]) -> bool:
    """The result of a look; False where there is no right to look."""
    try:
        return look()
    except OSError:
        return False


def _has_table(path: Path) -> bool:
    try:
        content = path.read_bytes()
        tool = tomllib.loads(content.decode()).get("tool", {}) if b"rateproof" in content else {}
    except OSError:
        return False
    except ValueError:  # whoever reads it says what is wrong
        return ".".join(_BELOW).encode() in content
    return isinstance(tool, dict) and _BELOW[1] in tool


def read_settings(
    path: Path,
    verb: Verb = _NO_VERB,
    told: Collection[str] = (),
    accept: Accept | None = None,
    chosen: Collection[str] = (),
) -> SettingsFile:
    """Read what a file tells a verb; the tables of others are theirs to judge.

    Args:
        path: the file.
        verb: whose table is read; without one the limits alone.
        told: names of options that are told otherwise: what the file says does not matter.
        accept: see `Sources.read`.
        chosen: names of endpoints; of others, if there are such, nothing but the name is read: a
            secret of theirs may be elsewhere.

    Raises:
        InvalidArgument: with every mistake and its line.
    """
    guide = f"docs/reference/{verb.name or 'settings-file'}.md lists them"
    reader = Reader(path, "settings", guide, plain=True)
    place, top = _top(reader, path)
    options = {each.in_file: each for each in filter(verb.filed, verb.options)}
    named = {each.in_file for each in verb.options if each.name in told}
    if verb.environment and not place and not _has_tables(top):
        values = _values(reader, options, place, named, accept)
        reader.finish()
        return SettingsFile(path, values)
    for name in _TABLES.keys() & top.keys() - {verb.name, LIMITS.name}:
        if isinstance(top[name], dict):
            del top[name]
    own: dict[str, Any] = {}
    if isinstance(top.get(verb.name), dict):
        options |= {ENDPOINTS.name: ENDPOINTS} if "endpoints" in verb.defaults() else {}
        _leave_out(top[verb.name].get(ENDPOINTS.name), chosen)
        own = _values(reader, options, (*place, verb.name), named, accept)
        del top[verb.name]
    found = reader.values(Section(_TABLES), place).get(LIMITS.name, {})
    limits = _limits(reader, found, place, accept)
    at: Place = (*place, verb.name)
    endpoints = _named(reader, own.pop(ENDPOINTS.name, []), (*at, ENDPOINTS.name))
    for number, each in enumerate([own, *endpoints]):
        if "limit" in each:
            where = (*at, ENDPOINTS.name, number - 1) if number else at
            reader.check((*where, "limit"), partial(_known, each["limit"], found))
    reader.finish()
    return SettingsFile(path, own, limits, endpoints)


def read_limit(name: str, file: str | Path | None = None) -> NamedLimit:
    """Read a limit of the settings file, for the application that keeps it.

    Args:
        name: of `[limits.NAME]`.
        file: the settings file; None: the nearest, from the folder of this process.

    Raises:
        InvalidArgument: there is no file, or no such limit in it, or a mistake in one.
    """
    path = find_settings(Path.cwd()) if file is None else Path(file)
    settings = SettingsFile() if path is None else read_settings(path)
    options = LIMITS.kind.item.options
    usual = {option.inside: option.value() for option in options.values()}
    return NamedLimit(**usual | settings.named_limit(name))


def _top(reader: Reader, path: Path) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The place of the table that holds all others, and that table."""
    if path.name != _PROJECT:
        return (), reader.data
    tool = reader.data.get(_BELOW[0])
    table = tool.get(_BELOW[1]) if isinstance(tool, dict) else None
    if not isinstance(table, dict):
        raise InvalidArgument(f"{str(path)!r} has no table [{'.'.join(_BELOW)}]", _GUIDE)
    return _BELOW, table


def _has_tables(top: Mapping[str, Any]) -> bool:
    """Tell tables, even with misspelt names, from the options of one verb alone."""
    return bool(top.keys() & _TABLES.keys()) or (
        bool(top) and all(isinstance(each, dict) for each in top.values())
    )


def _values(
    reader: Reader,
    options: Mapping[str, Option],
    place: tuple[str, ...],
    named: Collection[str],
    accept: Accept | None,
) -> dict[str, Any]:
    """The values of a table, without those that are told otherwise."""
    found = reader.values(Section(options), place, without=named)
    _accepted(reader, found, options, place, accept)
    return found


def _accepted(
    reader: Reader,
    found: Mapping[str, Any],
    options: Mapping[str, Option],
    place: tuple[str, ...],
    accept: Accept | None,
) -> None:
    for name, option in options.items():
        if accept is not None and option.inside in found:
            reader.check((*place, name), partial(accept, {option.inside: found[option.inside]}))


def _limits(
    reader: Reader, found: Mapping[str, Any], place: tuple[str, ...], accept: Accept | None
) -> dict[str, dict[str, Any]]:
    """The limits that are right, by name; each is looked at with what it costs."""
    limits = {name: each for name, each in found.items() if each is not BAD}
    for name, each in limits.items():
        at = (*place, LIMITS.name, name)
        reader.check((*at, "cost"), partial(_counted, each))
        usual = {key: LIMITS.kind.item.options[key] for key in each.keys() - {"cost"}}
        _accepted(reader, each, usual, at, accept)
    return limits


def _counted(limit: Mapping[str, Any]) -> dict[str, Any]:
    """A limit for those who count requests: of 10 units at 2 a request, 5 requests are let through.

    Every rule is linear in the units, so this is exact where the cost divides each figure.
    """
    found = dict(limit)
    cost = found.pop("cost", 1)
    quotas = []
    for quota in limit["policy"].quotas:
        for figure in (quota.limit, quota.burst):
            if figure % cost:
                raise InvalidArgument(
                    f"{cost} does not divide {figure} of '{quota}'", "one that does"
                )
        quotas.append(replace(quota, limit=quota.limit // cost, burst=quota.burst // cost))
    return found | {"policy": Policy(tuple(quotas))}


def _leave_out(endpoints: Any, chosen: Collection[str]) -> None:
    for each in endpoints if chosen and isinstance(endpoints, list) else ():
        if isinstance(each, dict) and _name_of(each) not in chosen:
            for key in each.keys() - {"name", "limit", "url"}:
                del each[key]


def _name_of(endpoint: Mapping[str, Any]) -> str:
    return endpoint.get("name") or endpoint.get("limit") or _slug(str(endpoint.get("url")))


def _named(reader: Reader, found: list[Any], place: Place) -> tuple[dict[str, Any], ...]:
    """Endpoints, each with a name: its own, that of its limit, or its path."""
    named = [each | {"name": _name_of(each)} for each in found]
    counts = Counter(each["name"] for each in named)
    for number, each in enumerate(named):
        if counts[each["name"]] > 1:
            what = f"{counts[each['name']]} are called {each['name']!r}", "give each a name"
            reader.check((*place, number), partial(_refuse, *what))
    return tuple(named)


def _known(name: str, names: Collection[str]) -> None:
    if name not in names:
        hint = near(name, names) or f"one of {', '.join(names)}" if names else "there is none"
        _refuse(f"{name!r} is not a name in [{LIMITS.name}]", hint)


def _refuse(message: str, hint: str) -> None:
    raise InvalidArgument(message, hint)


def _slug(url: str) -> str:
    """A name made of a path: `api-login` of `/api/login`."""
    return re.sub("[^A-Za-z0-9_.]+", "-", urlsplit(url).path).strip("-")[:64] or "root"
