"""Lines of the values in a TOML text: `tomllib` does not tell."""

import re
import tomllib

Path = tuple[str | int, ...]
"""Keys and indices from the top of the document to a value."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN = re.compile(
    r"""
      (?P<string> \"{3} (?:[^\\]|\\.)*? \"{3,5}
                | '{3} .*? '{3,5}
                | \" (?:[^\"\\\n]|\\.)* \"
                | ' [^'\n]* ' )
    | (?P<mark> [\[\]{},=.\n] )
    | (?P<skip> [ \t\r]+ | \#[^\n]* )
    | (?P<bare> [^\s\[\]{},=.\#]+ )
    """,
    re.DOTALL | re.VERBOSE,
)


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
        self._tokens: list[tuple[str, int]] = []
        line = 1
        for match in _TOKEN.finditer(document):
            if match.lastgroup != "skip":
                self._tokens.append((match[0], line))
            line += match[0].count("\n")
        self._tokens.append(("", line))
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while self._blank():
            if self._word == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    @property
    def _word(self) -> str:
        return self._tokens[self._at][0]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][0]

    def _blank(self) -> str:
        """Skip ends of lines; the token after them, empty at the end."""
        while self._word == "\n":
            self._at += 1
        return self._word

    def _mark(self, path: Path, at: int) -> None:
        self._lines.setdefault(path, self._tokens[at][1])

    def _header(self) -> Path:
        """`[a.b]`, or `[[a.b]]`, which appends to the array a.b."""
        start = self._at
        brackets = 1 + (self._tokens[start + 1][0] == "[")
        self._at += brackets
        path: Path = ()
        keys = self._keys()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            if path in self._counts and number < len(keys):
                path = (*path, self._counts[path])  # of an array on the way, its last item
        if brackets == 2:
            self._counts[path] = self._counts.get(path, -1) + 1
            self._mark(path, start)
            path = (*path, self._counts[path])
        self._mark(path, start)
        self._at += brackets
        return path

    def _keys(self) -> list[str]:
        keys = [_unquote(self._next())]
        while self._word == ".":
            self._at += 1
            keys.append(_unquote(self._next()))
        return keys

    def _pair(self, path: Path) -> None:
        """`key = value`."""
        start = self._at
        for key in self._keys():
            path = (*path, key)
            self._mark(path, start)
        self._at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._word not in {"[", "{"}:
            while self._word not in {",", "]", "}", "\n", ""}:  # a date may be two words
                self._at += 1
            return
        closing = "]" if self._next() == "[" else "}"
        index = 0
        while self._blank() != closing:
            if closing == "]":
                self._mark((*path, index), self._at)
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
            if self._blank() == ",":
                self._at += 1
        self._at += 1


def _unquote(key: str) -> str:
    """The text of a key, which is quoted as values are."""
    if key[0] not in "\"'":
        return key
    text: str = tomllib.loads(f"text = {key}")["text"]
    return text
