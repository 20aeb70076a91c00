"""Where in a TOML text each value stands: `tomllib` does not tell."""

import re

__all__ = ["Path", "line_of", "lines_of", "write_path"]

Path = tuple[str | int, ...]
"""Keys and indices from the top of the document to a value."""

_BLANK = re.compile(r"[ \t\r\n]*(?:#[^\n]*[ \t\r\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")
_STRING = re.compile(
    r"""
      \"{3} (?:[^\\]|\\.)*? \"{3,5}
    | '{3} .*? '{3,5}
    | \" (?:[^\"\\\n]|\\.)* \"
    | ' [^'\n]* '
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def lines_of(document: str) -> dict[Path, int]:
    """The line of every key and array item, counted from 1.

    Args:
        document: a text that `tomllib` has read without an error: what is not
            TOML is not noticed here.
    """
    return _Scan(document).run()


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


class _Scan:
    """One pass over a document that is known to be well formed."""

    def __init__(self, document: str) -> None:
        self._text = document
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._counted_to = 0
        self._line = 1

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _peek(self, length: int = 1) -> str:
        return self._text[self._at : self._at + length]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _mark(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        self._lines.setdefault(path, self._line)

    def _header(self) -> Path:
        """`[a.b]`, or `[[a.b]]`, which appends to the array a.b."""
        brackets = 2 if self._peek(2) == "[[" else 1
        start = self._at
        self._at += brackets
        path = self._resolve(self._keys())
        after = self._at + brackets
        self._at = start
        if brackets == 2:
            index = self._counts.get(path, -1) + 1
            self._counts[path] = index
            self._mark(path)
            path = (*path, index)
        self._mark(path)
        self._at = after
        return path

    def _resolve(self, keys: list[str]) -> Path:
        """A header's path, with the last item of each array of tables on the way."""
        path: Path = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            if path in self._counts and number < len(keys):
                path = (*path, self._counts[path])
        return path

    def _keys(self) -> list[str]:
        """A dotted key; leaves behind the blanks after it."""
        keys = []
        while True:
            self._skip(_SPACES)
            quoted = self._skip(_STRING)
            keys.append(_unquote(quoted) if quoted else self._skip(_BARE))
            self._skip(_SPACES)
            if self._peek() != ".":
                return keys
            self._at += 1

    def _pair(self, table: Path) -> None:
        """`key = value`."""
        start = self._at
        keys = self._keys()
        after = self._at + 1
        self._at = start
        path = table
        for key in keys:
            path = (*path, key)
            self._mark(path)
        self._at = after
        self._skip(_SPACES)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._peek()
        if opening == "[":
            self._items(path)
        elif opening == "{":
            self._inline(path)
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _items(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        index = 0
        while self._peek() not in {"]", ""}:
            self._mark((*path, index))
            self._value((*path, index))
            self._separator()
            index += 1
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        while self._peek() not in {"}", ""}:
            self._pair(path)
            self._separator()
        self._at += 1

    def _separator(self) -> None:
        self._skip(_BLANK)
        if self._peek() == ",":
            self._at += 1
        self._skip(_BLANK)


def _unquote(quoted: str) -> str:
    """The text of a quoted key: escapes stand only in double quotes."""
    if quoted[0] == "'":
        return quoted[1:-1]
    return _ESCAPE.sub(
        lambda match: (
            chr(int(match[1][1:], 16)) if match[1][0] in "uU" else _ESCAPED.get(match[1], match[1])
        ),
        quoted[1:-1],
    )
