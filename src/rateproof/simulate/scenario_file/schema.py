"""The format of a scenario file as JSON Schema, for editors and other tools."""

import json
from collections.abc import Mapping
from typing import Any

from rateproof.options.kinds import Kind, Leaf, Option, Pairs, Section, Series, any_case
from rateproof.simulate.scenario_file.file import SCENARIO

__all__ = ["schema", "schema_text"]

_PLAIN_HTTP = {
    "if": {
        "not": {"required": ["url"], "properties": {"url": {"pattern": f"^{any_case('https')}:"}}}
    },
    "then": {"properties": {"ca_file": False, "insecure": {"const": False}}},
    "else": {
        "if": {"required": ["ca_file"]},
        "then": {"properties": {"insecure": {"const": False}}},
    },
}


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a scenario file read as TOML.

    It accepts whatever `load` accepts, and little else: what remains are
    values that only a parser can judge, and those that depend on each other.
    """
    definitions: dict[str, Any] = {}
    top = _table(SCENARIO, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A scenario of rateproof simulate",
        "description": "Who the clients are, how each behaves, for how long, and the seed of it all.",
        **top,
        **_PLAIN_HTTP,
        "$defs": definitions,
    }


def schema_text() -> str:
    """The schema as it stands in `scenario.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=True) + "\n"


def _of(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, Leaf | Pairs):
        return dict(kind.schema)
    if isinstance(kind, Series):
        return {"type": "array", "minItems": kind.least, "items": _of(kind.item, definitions)}
    if kind.name is None:
        return _table(kind, definitions)
    if kind.name not in definitions:
        definitions[kind.name] = _table(kind, definitions)
    return {"$ref": f"#/$defs/{kind.name}"}


def _properties(options: Mapping[str, Option], definitions: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"description": each.text, **_of(each.kind, definitions)}
        for name, each in options.items()
    }


def _table(kind: Section, definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object"}
    required = [name for name, each in kind.options.items() if each.required]
    if kind.tag is not None and kind.default is None:
        required.append(kind.tag)
    if required:
        found["required"] = required
    found["properties"] = _properties(kind.options, definitions)
    if kind.tag is None:
        return found | {"additionalProperties": False}
    found["properties"][kind.tag] = {"enum": list(kind.variants)}
    found["allOf"] = [_variant(kind, name, definitions) for name in kind.variants]
    found["unevaluatedProperties"] = False
    return found


def _variant(kind: Section, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What holds where the tag has this text; a table without a tag is of the default."""
    assert kind.tag is not None  # noqa: S101 - proves the type
    condition: dict[str, Any] = {"properties": {kind.tag: {"const": name}}}
    if name != kind.default:
        condition["required"] = [kind.tag]
    options = kind.variants[name]
    then: dict[str, Any] = {"properties": _properties(options, definitions)}
    required = [name for name, each in options.items() if each.required]
    if required:
        then["required"] = required
    excluding = {
        name: {"properties": dict.fromkeys(each.excludes, False)}
        for name, each in options.items()
        if each.excludes
    }
    if excluding:
        then["dependentSchemas"] = excluding
    return {"if": condition, "then": then}
