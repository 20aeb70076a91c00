"""Reads a TOML file as its section says, and names every mistake in it with its line."""

import tomllib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from rateproof.errors import InvalidArgument
from rateproof.options.kinds import (
    Kind,
    Leaf,
    NamedTables,
    Option,
    Pairs,
    Section,
    Series,
    flag,
    mismatch,
    near,
)
from rateproof.options.lines import Path as Place
from rateproof.options.lines import line_of, lines_of, write_path
from rateproof.secret import content_of

_MAX_BYTES: Final = 1 << 22
_UNKNOWN: Final = "unknown key"
_SWITCH: Final = flag()


BAD: Final = object()
"""Stands for a value that has an error of its own."""


class Reader:
    """Reads a file of up to 4 MiB; what is wrong with its values gathers until `finish`.

    Errors say `what` it is, and point to the guide. If `plain`, each value is a text, or has the
    same text as one: `8081` is `"8081"`, and `["a", "b"]` is `"a,b"`; and the guide, which lists
    the names, is not for those who have got a value wrong.
    """

    def __init__(self, path: Path, what: str, guide: str, *, plain: bool = False) -> None:
        self._folder = path.parent
        self._name, self._guide, self._plain = f"{what} {str(path)!r}", guide, plain
        self._text = self._read(path)
        try:
            self.data: dict[str, Any] = tomllib.loads(self._text)
        except (ValueError, RecursionError) as error:
            said = "too deeply nested" if isinstance(error, RecursionError) else str(error)
            raise InvalidArgument(f"{self._name} is not TOML: {said}", guide) from None
        self._errors: list[tuple[Place, str]] = []
        self.items: dict[Place, list[Any]] = {}
        """Values of the items of every array, by its place: BAD where one has an error."""

    def _read(self, path: Path) -> str:
        hint = "name a TOML file that can be read"
        content = content_of(path, _MAX_BYTES, self._name, hint)
        if len(content) > _MAX_BYTES:
            raise InvalidArgument(f"{self._name} is above 4 MiB", self._guide)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = 1 + content.count(b"\n", 0, error.start)
            raise InvalidArgument(
                f"line {line} of {self._name} is not UTF-8", self._guide
            ) from None

    def values(
        self, section: Section, place: Place = (), without: Collection[str] = ()
    ) -> dict[str, Any]:
        """Values of the file, or of the table at a place, by argument; no bad ones."""
        table: Any = self.data
        for name in place:
            table = table[name]
        table = {name: each for name, each in table.items() if name not in without}
        found = self._arguments(section, table, place)
        return {name: value for name, value in found.items() if value is not BAD}

    def check(self, place: Place, accept: Callable[[], object]) -> None:
        """Note what `accept` has against the value at a place."""
        try:
            accept()
        except InvalidArgument as error:
            self._errors.append((place, str(error)))

    def wrong(self, place: Place) -> bool:
        """True if something is wrong with the value at a place."""
        return any(place == wrong for wrong, _ in self._errors)

    def finish(self) -> None:
        """Accept the file, or refuse it with every error on a line of its own, in its order."""
        if not self._errors:
            return
        lines = lines_of(self._text)
        placed = sorted(
            ((line_of(lines, place), write_path(place), what) for place, what in self._errors),
            key=lambda found: found[0] or 0,
        )
        noun = "an error" if len(placed) == 1 else f"{len(placed)} errors"
        found = (
            f"  {'' if line is None else f'line {line}: '}{place}: {what}"
            for line, place, what in placed
        )
        named = not self._plain or any(what.startswith(_UNKNOWN) for *_, what in placed)
        guide = self._guide if named else None
        raise InvalidArgument("\n".join([f"{self._name} has {noun}", *found]), guide)

    def _value(self, kind: Kind, value: Any, place: Place) -> Any:
        """The value that is meant, or BAD after noting why not."""
        try:
            if isinstance(kind, Leaf):
                return self._leaf(kind, value)
            if isinstance(kind, Series):
                return self._series(kind, value, place)
            if not isinstance(value, dict):
                raise mismatch(value, "a table", secret=isinstance(kind, Pairs))
            if isinstance(kind, Pairs):
                return self._pairs(kind, value, place)
            before = len(self._errors)
            if isinstance(kind, NamedTables):
                return self._tables(kind, value, place)
            arguments = self._arguments(kind, value, place)
            return BAD if len(self._errors) > before else kind.make(arguments)
        except InvalidArgument as error:
            self._errors.append((place, str(error)))
            return BAD

    def _leaf(self, kind: Leaf, value: Any) -> Any:
        if not self._plain:
            is_name = kind.located == "" and isinstance(value, str)
            return kind.read(self._placed(value, "") if is_name else value)
        text = _as_text(kind, value)
        if kind.types == (bool,):
            return _SWITCH.read_text(text)
        return kind.read_text(self._placed(text, kind.located))

    def _placed(self, text: str, before: str | None) -> str:
        """A text with the name of a file in it, if that is behind `before`, from this one's folder on."""
        named = before is not None and text.startswith(before) and text != before
        if before is None or not named or text.startswith(("@env:", "@@")):
            return text
        return before + str(self._folder / text.removeprefix(before))

    def _tables(self, kind: NamedTables, value: dict[str, Any], place: Place) -> dict[str, Any]:
        for name in value:
            self.check((*place, name), partial(kind.name.read, name))
        return {name: self._value(kind.item, each, (*place, name)) for name, each in value.items()}

    def _series(self, kind: Series, value: Any, place: Place) -> Any:
        if self._plain and isinstance(value, str):
            return kind.read_text(value)
        if not isinstance(value, list):
            raise mismatch(value, "an array")
        if len(value) < kind.least:
            raise InvalidArgument(f"{len(value)} items", f"at least {kind.least}")
        items = [self._value(kind.item, item, (*place, index)) for index, item in enumerate(value)]
        self.items[place] = items
        return BAD if BAD in items else kind.make(items)

    def _pairs(self, kind: Pairs, value: dict[str, Any], place: Place) -> Any:
        before, found = len(self._errors), list[tuple[str, str]]()
        for name, content in value.items():
            try:
                if not isinstance(content, str):
                    raise mismatch(content, "a text", secret=True)
                found += kind.read({name: self._placed(content, "@")})
            except InvalidArgument as error:
                self._errors.append(((*place, name), str(error)))
        return tuple(found) if len(self._errors) == before else BAD

    def _arguments(self, kind: Section, value: dict[str, Any], place: Place) -> dict[str, Any]:
        """A table's values, by argument: BAD where one has an error."""
        tag = self._variant(kind, value, place)
        options = dict(kind.options)
        if isinstance(tag, str):
            options |= kind.variants[tag]
        found: dict[str, Any] = {}
        for name, content in value.items():
            if name in options:
                option = options[name]
                found[option.inside] = self._value(option.kind, content, (*place, name))
            elif name != kind.tag and tag is not BAD:  # nobody knows the names of a bad variant
                self._errors.append(((*place, name), _unknown(name, kind, options, tag)))
        for name, option in options.items():
            if option.required and name not in value:
                self._errors.append(((*place, name), f"is missing ({option.help})"))
            for other in option.excludes:
                if name in value and other in value:
                    what = f"cannot stand beside {other} (leave one out)"
                    self._errors.append(((*place, name), what))
        return found if kind.tag is None else found | {kind.tag: tag}

    def _variant(self, kind: Section, value: Mapping[str, Any], place: Place) -> Any:
        """The tag's text; None of a table that has no variants; BAD after noting why not."""
        if kind.tag is None:
            return None
        tag = value.get(kind.tag, kind.default)
        if isinstance(tag, str) and tag in kind.variants:
            return tag
        names = f"one of {', '.join(kind.variants)}"
        what = f"{tag!r:.64} is unknown ({near(tag, kind.variants) or names})"
        if tag is None:
            what = f"is missing ({names})"
        self._errors.append(((*place, kind.tag), what))
        return BAD


def _as_text(kind: Leaf, value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        for item in value:
            if "," in item:
                raise InvalidArgument(f"{item!r} has a comma", "one text for each")
        return ",".join(value)  # quotas and paths are separated so
    if isinstance(value, bool | int | str) or (isinstance(value, float) and float in kind.types):
        return str(value)
    raise mismatch(value, kind.form)


def _unknown(name: str, kind: Section, options: Mapping[str, Option], tag: str | None) -> str:
    owners = [variant for variant, more in kind.variants.items() if name in more]
    if owners:
        return f"is not a key of {tag} (of {', '.join(owners)})"
    names = [*options, *([kind.tag] if kind.tag else [])]
    return f"{_UNKNOWN} ({near(name, names) or 'one of ' + ', '.join(sorted(names))})"
