"""Whatever stands in a scenario file: an answer or an error, and the schema never disagrees."""

import json
import tempfile
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from rateproof.errors import InvalidArgument
from rateproof.options.kinds import Kind, Pairs, Section, Series
from rateproof.simulate.scenario_file import load
from rateproof.simulate.scenario_file.file import SCENARIO

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((files("rateproof.simulate") / "scenario.schema.json").read_text())
)

DURATIONS = st.one_of(
    st.sampled_from(
        ["0", "0s", " 5 S ", "1.5m", "10 Minutes", "3us", "99d", "2h", "5", "s", "-1s"]
    ),
    st.builds(
        "{}{}".format, st.integers(0, 5_000), st.sampled_from(["us", "ms", "s", "Secs", "h"])
    ),
)
TEXTS = {
    "url": ["http://h/", "https://h/a?x=1", "HTTP://h", "ftp://h/", "http://[::1]:80/", "h"],
    "policy": ["5 per 5s", "7/MINUTE", "token-bucket 5 per 1 Hour burst 9; 3/s", "0 per 5s", "5"],
    "key": ["query:a", "ip|header:b", "cookie:c+query:d", "ip", "header:Host", "query:x"],
    "method": ["GET", "get", "M-SEARCH", "CONNECT", "POST", "1", ""],
    "body": ["", "a=b", "\u20ac"],
}
HEADERS = st.dictionaries(
    st.sampled_from(["A", "b-c", "hOst", "B", "X Y", "te", "test", "Cookie"]),
    st.sampled_from(["", "a b", "\xe4", "a\r\nb", " a", "\u20ac"]),
    max_size=3,
)
ANYTHING = st.none() | st.booleans() | st.integers(-1, 2) | st.just("x") | st.just([]) | st.just({})


def near(low: float, high: float) -> list[float]:
    return [low - 1, low, low + 1, high - 1, high, high + 1]


def value_of(name: str, kind: Kind) -> st.SearchStrategy[Any]:
    """Values for a name in a file: good ones mostly, and bad ones of the right type."""
    if isinstance(kind, Pairs):
        return HEADERS
    if isinstance(kind, Series):
        return st.lists(value_of(name, kind.item), min_size=1, max_size=2)
    if isinstance(kind, Section):
        return table_of(kind)
    if kind.types == (bool,):
        return st.booleans()
    if str in kind.types:
        return st.sampled_from(TEXTS[name]) if name in TEXTS else DURATIONS
    low = kind.schema.get("minimum", kind.schema.get("exclusiveMinimum"))
    numbers = st.sampled_from([*near(low, kind.schema["maximum"]), 5])
    return numbers | st.floats(0, 10) if float in kind.types else numbers


def table_of(kind: Section) -> st.SearchStrategy[dict[str, Any]]:
    """A table of one of its variants, with some of the keys that it may have."""
    tags = st.sampled_from([*kind.variants]) if kind.tag else st.none()

    def of(tag: str | None) -> st.SearchStrategy[dict[str, Any]]:
        options = dict(kind.options) | dict(kind.variants[tag] if tag else {})
        values = {
            name: st.one_of(*[value_of(name, each.kind)] * 9, ANYTHING)
            for name, each in options.items()
            if name != "ca_file"
        }
        always = {name: values.pop(name) for name, each in options.items() if each.required}
        chosen = st.lists(st.sampled_from(sorted(values)), max_size=3) if values else st.just([])
        return chosen.flatmap(
            lambda names: st.fixed_dictionaries(always | {name: values[name] for name in names})
        ).map(lambda table: (table | {kind.tag: tag}) if kind.tag and tag else table)

    return tags.flatmap(of)


def without_nones(value: Any) -> Any:
    """TOML has no null: None stands for a key that is not there."""
    if isinstance(value, dict):
        return {key: without_nones(each) for key, each in value.items() if each is not None}
    return [without_nones(each) for each in value] if isinstance(value, list) else value


DOCUMENTS = table_of(SCENARIO).map(without_nones)


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(k)} = {written(v)}" for k, v in value.items()) + "}"
    return repr(value)


@given(DOCUMENTS)
def test_a_file_is_accepted_or_refused_and_the_schema_accepts_what_the_loader_does(
    document: dict[str, Any],
) -> None:
    text = "".join(f"{key} = {written(value)}\n" for key, value in document.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.toml"
        path.write_text(text, encoding="utf-8")
        try:
            scenario = load(path).scenario()
        except InvalidArgument:
            return
    assert scenario.groups
    VALIDATOR.validate(tomllib.loads(text))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_accepted_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.toml"
        path.write_bytes(content)
        try:
            load(path)
        except InvalidArgument:
            return
    raise AssertionError("a scenario without clients was accepted")
