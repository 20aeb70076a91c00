"""Reads plain data as a kind says, and keeps every error with its path."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from rateproof.errors import InvalidArgument
from rateproof.options.kinds import (
    LONGEST,
    Field,
    Kind,
    Leaf,
    Pairs,
    Series,
    Table,
    type_name,
)
from rateproof.options.lines import Path

__all__ = ["BAD", "Reader"]


class _Bad:
    """Stands for a value that has an error of its own."""


BAD: Final = _Bad()


class Reader:
    """Reads values; what is wrong with them gathers in `errors`, in the order of reading."""

    def __init__(self) -> None:
        self.errors: list[tuple[Path, str]] = []
        self.items: dict[Path, list[Any]] = {}
        """What the items of every array mean, by its path: BAD where one has an error."""

    def add(self, path: Path, error: InvalidArgument) -> None:
        """Note an error at a path."""
        self.errors.append((path, str(error)))

    def read(self, kind: Kind, value: Any, path: Path) -> Any:
        """What the value means, or BAD after noting why not."""
        if isinstance(kind, Leaf):
            try:
                return kind.read(value)
            except InvalidArgument as error:
                self.add(path, error)
                return BAD
        if isinstance(kind, Series):
            return self._series(kind, value, path)
        if not isinstance(value, dict):
            self.errors.append((path, f"{value!r:.{LONGEST}} is {type_name(value)}, not a table"))
            return BAD
        if isinstance(kind, Pairs):
            return self._pairs(kind, value, path)
        return self._table(kind, value, path)

    def _series(self, kind: Series, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            self.errors.append((path, f"{value!r:.{LONGEST}} is {type_name(value)}, not an array"))
            return BAD
        if len(value) < kind.least:
            self.errors.append((path, f"{len(value)} items (at least {kind.least})"))
            return BAD
        items = [self.read(kind.item, item, (*path, index)) for index, item in enumerate(value)]
        self.items[path] = items
        return BAD if BAD in items else kind.make(items)

    def _pairs(self, kind: Pairs, value: dict[str, Any], path: Path) -> Any:
        before = len(self.errors)
        for name, content in value.items():
            if not isinstance(content, str):
                message = f"{content!r:.{LONGEST}} is {type_name(content)}, not a text"
                self.errors.append(((*path, name), message))
                continue
            try:
                kind.check(name, content)
            except InvalidArgument as error:
                self.add((*path, name), error)
        return tuple(value.items()) if len(self.errors) == before else BAD

    def arguments(self, kind: Table, value: dict[str, Any], path: Path) -> dict[str, Any]:
        """What a table's values mean, by argument: BAD where one has an error."""
        tag = self._variant(kind, value, path)
        fields = dict(kind.fields)
        if isinstance(tag, str):
            fields |= kind.variants[tag]
        found = self._known(kind, fields, value, path, tag=tag)
        for name, known in fields.items():
            if known.required and name not in value:
                self.errors.append(((*path, name), f"is missing ({known.help})"))
            for other in known.excludes:
                if name in value and other in value:
                    message = f"cannot stand beside {other} (leave one out)"
                    self.errors.append(((*path, name), message))
        if kind.tag is not None:
            found[kind.tag] = tag
        return found

    def _table(self, kind: Table, value: dict[str, Any], path: Path) -> Any:
        before = len(self.errors)
        arguments = self.arguments(kind, value, path)
        if len(self.errors) > before:
            return BAD
        try:
            return kind.make(arguments)
        except InvalidArgument as error:
            self.add(path, error)
            return BAD

    def _variant(self, kind: Table, value: Mapping[str, Any], path: Path) -> str | _Bad | None:
        """The tag's text; None of a table that has no variants."""
        if kind.tag is None:
            return None
        tag = value.get(kind.tag, kind.default)
        if isinstance(tag, str) and tag in kind.variants:
            return tag
        names = ", ".join(kind.variants)
        if tag is None:
            self.errors.append(((*path, kind.tag), f"is missing (one of {names})"))
        else:
            hint = _near(tag, kind.variants) or f"one of {names}"
            self.errors.append(((*path, kind.tag), f"{tag!r:.{LONGEST}} is unknown ({hint})"))
        return BAD

    def _known(
        self,
        kind: Table,
        fields: Mapping[str, Field],
        value: Mapping[str, Any],
        path: Path,
        *,
        tag: str | _Bad | None,
    ) -> dict[str, Any]:
        """The values of known names, by argument; the other names are errors."""
        arguments: dict[str, Any] = {}
        for name, content in value.items():
            if name == kind.tag:
                continue
            if name in fields:
                arguments[fields[name].argument] = self.read(
                    fields[name].kind, content, (*path, name)
                )
            elif not isinstance(tag, _Bad):  # of an unknown variant nobody knows the names
                self.errors.append(((*path, name), _unknown(name, kind, fields, tag)))
        return arguments


def _unknown(name: str, kind: Table, fields: Mapping[str, Field], tag: str | None) -> str:
    owners = [variant for variant, more in kind.variants.items() if name in more]
    if owners:
        return f"is not a key of {tag} (of {', '.join(owners)})"
    names = [*fields, *([kind.tag] if kind.tag else [])]
    return f"unknown key ({_near(name, names) or 'one of ' + ', '.join(sorted(names))})"


def _near(name: Any, names: Iterable[str]) -> str | None:
    """A hint at the name that was probably meant."""
    if not isinstance(name, str):
        return None
    found = get_close_matches(name.lower(), list(names), n=1)
    return f"did you mean {found[0]}?" if found else None
