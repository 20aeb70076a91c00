"""Claims about lines: every value of a TOML text has the line that it stands on."""

import textwrap
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rateproof.options.lines import Path, line_of, lines_of, write_path

DOCUMENT = '''\
# a comment = 1, with [brackets] and "quotes
top = 1 # and one more = 2

"quoted key" = "a = 1 # no [comment]"
'literal.key' = 'c:\\path\\'
dotted . key.'x y' = 2026-10-30T07:32:00Z
text = """
[not.a.header]
key = "no" \\
  \\""" still text"""
raw = \'\'\'
[[nor.this]]
''\'\'\'
array = [ 1, # one
  [2, 3],
  # a comment ]
  { a = 4, "b" = [5] },
  "]", 6,
]
inline = { a.b = 1, c = { d = [ 1, { e = 2 } ] }, f = "}" }
empty = {}
none = []

[table]
a = 1
  [ table . "sub" ] # indented
  b = +inf

[[clients]]
count = 1
pause.mean = "1s"
[[clients]]
count = 2
[clients.pause]
mean = 'x'
[[clients.deep]]
a = 1
[[clients.deep]]
a = 2
[[clients]]
"\\u00e9\\t\\"" = 3
'''


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Every path in plain data."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    found = [path] if path else []
    for key, each in inner:
        found += paths(each, (*path, key))
    return found


def test_every_path_of_a_document_has_a_line_and_nothing_else_has() -> None:
    assert sorted(lines_of(DOCUMENT), key=str) == sorted(paths(tomllib.loads(DOCUMENT)), key=str)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("top",), "top = 1"),
        (("quoted key",), '"quoted key"'),
        (("literal.key",), "'literal.key'"),
        (("dotted", "key", "x y"), "dotted . key"),
        (("text",), "text ="),
        (("raw",), "raw ="),
        (("array", 0), "array = [ 1"),
        (("array", 1, 1), "  [2, 3]"),
        (("array", 2, "b", 0), "  { a = 4"),
        (("array", 4), '  "]", 6'),
        (("inline", "c", "d", 1, "e"), "inline ="),
        (("none",), "none ="),
        (("table", "sub", "b"), "  b = +inf"),
        (("clients", 0), "[[clients]]"),
        (("clients", 0, "pause", "mean"), "pause.mean"),
        (("clients", 1, "count"), "count = 2"),
        (("clients", 1, "pause", "mean"), "mean = 'x'"),
        (("clients", 1, "deep", 1, "a"), "a = 2"),
    ],
)
def test_the_line_of_a_path_is_the_one_that_names_it(path: Path, text: str) -> None:
    line = lines_of(DOCUMENT)[path]
    assert DOCUMENT.splitlines()[line - 1].startswith(text)


def test_lines_may_end_as_on_other_systems() -> None:
    assert lines_of(DOCUMENT.replace("\n", "\r\n")) == lines_of(DOCUMENT)


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    lines = lines_of("a = 1\n[b]\n[b.c]\n")
    assert line_of(lines, ("b", "c", "missing", 3)) == 3
    assert line_of(lines, ("a",)) == 1
    assert line_of(lines, ("missing",)) is None


def test_a_path_is_written_as_in_toml() -> None:
    assert write_path(("clients", 1, "pause", "mean")) == "clients[1].pause.mean"
    assert write_path(("headers", "a b")) == "headers.'a b'"


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=5)
VALUES = st.recursive(
    st.integers(-99, 99) | st.booleans() | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    if isinstance(value, list):
        return "[\n" + "".join(f"  {written(each)}, # ]\n" for each in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{written(key)} = {written(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    return str(value)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_every_path_of_any_document_has_a_line(data: dict[str, Any]) -> None:
    document = "".join(f"{written(key)} = {written(each)}\n" for key, each in data.items())
    assert tomllib.loads(document) == data
    lines = lines_of(document)
    assert set(lines) == set(paths(data))
    for key, each in data.items():
        line = lines[key,]
        assert document.splitlines()[line - 1].startswith(f"{written(key)} = ")
        if isinstance(each, list):
            assert all(lines[key, index] > line for index in range(len(each)))


def test_a_long_document_is_read_in_time_that_grows_with_its_length() -> None:
    block = textwrap.dedent("""
        [[clients]]
        count = 1
        pause = { distribution = "exponential", mean = "1s" }
    """)
    assert len(lines_of(block * 10_000)) == 1 + 10_000 * 5
