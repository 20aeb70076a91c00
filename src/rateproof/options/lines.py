"""Lines of the values in a TOML text: `tomllib` does not tell, so it reads each statement alone."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

Path = tuple[str | int, ...]
"""Keys and indices from the top of the document to a value."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN: Final = re.compile(
    r"""
        \"{3} (?:[^\\]|\\.)*? \"{3,5} | '{3} .*? '{3,5}
      | \" (?:[^\"\\\n]|\\.)* \" | ' [^'\n]* '
      | \#[^\n]* | [\[\]{},\n] | [^\s\[\]{},\#\"']+
    """,
    re.DOTALL | re.VERBOSE,
)


def lines_of(document: str) -> dict[Path, int]:
    """The line of every key and array item, counted from 1.

    What is deeper in an array of several lines has the line of its item.

    Args:
        document: a text that `tomllib` has read without an error: what is not
            TOML is not noticed here.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for line, statement, items in _statements(document):
        *keys, value = _chain(tomllib.loads(statement))
        is_header = statement.lstrip().startswith("[")
        path = () if is_header else table
        for key in keys:
            path = (*path, counts[path], key) if path in counts else (*path, key)
            lines.setdefault(path, line)
        if is_header:
            table = path
            if value:  # `[[a.b]]` appends to the array a.b
                counts[path] = counts.get(path, -1) + 1
                table = (*path, counts[path])
                lines[table] = line
        else:
            _mark(lines, path, value, line, items)
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of a path, or of the nearest table around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def write_path(path: Path) -> str:
    """A path as text, such as `clients[1].pause.mean`."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        else:
            written += ("." if written else "") + (part if _BARE.fullmatch(part) else repr(part))
    return written


def _statements(document: str) -> Iterator[tuple[int, str, list[int]]]:
    """Each line, or several where brackets or quotes join them; of an array the lines of its items."""
    line = begun = 1
    start = depth = 0
    items: list[int] = []
    expected = False
    for token in _TOKEN.finditer(document + "\n"):
        text = token[0]
        if expected and depth == 1 and text[0] not in "\n#]":
            items.append(line)
            expected = False
        depth += (text in "[{") - (text in "]}")
        expected |= text in "[," and depth == 1
        line += text.count("\n")
        if text == "\n" and not depth:
            yield begun, document[start : token.end()], items
            start, begun, items = token.end(), line, []


def _chain(data: Any) -> list[Any]:
    """The keys of tables that hold nothing else, from the outermost on, and what the last one holds."""
    keys = []
    while isinstance(data, dict) and len(data) == 1:
        [(key, data)] = data.items()
        keys.append(key)
    return [*keys, data]


def _mark(lines: dict[Path, int], path: Path, value: Any, line: int, items: list[int]) -> None:
    """Note the line of all that a value holds; the items of an array may have lines of their own."""
    own = isinstance(value, list) and len(value) == len(items)
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for place, (key, each) in enumerate(inner):
        lines[*path, key] = items[place] if own else line
        _mark(lines, (*path, key), each, lines[*path, key], [])
