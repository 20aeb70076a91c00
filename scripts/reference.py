"""Write what derives from the declarations: docs/reference, and the schemas of files in TOML."""

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, get_type_hints

from rateproof.enforce.counters import Count, Stats
from rateproof.enforce.server.metrics import exposition
from rateproof.events import Event
from rateproof.events.access_logs import FORMATS, Format
from rateproof.options.arguments import EXIT_CODES, NOTES, VARIABLES
from rateproof.options.declared import VERBS
from rateproof.options.forms import NETWORKS, PATHS, POLICY, PROXIES
from rateproof.options.kinds import (
    Kind,
    Leaf,
    NamedTables,
    Option,
    Pairs,
    Section,
    Series,
    any_case,
)
from rateproof.options.tables import ENDPOINTS, LIMITS
from rateproof.options.verb import Verb
from rateproof.policy import Policy
from rateproof.prove import ClosestCall, Counts, Pressure, Sensitivity, Verdict
from rateproof.prove.terms import Cause
from rateproof.simulate.behaviours import BEHAVIOURS, make_behaviour
from rateproof.simulate.programs.arrivals import INTERVALS
from rateproof.simulate.scenario_file.file import SCENARIO
from rateproof.simulate.scenario_file.groups import CLIENTS, INTERVAL
from rateproof.testing.options import ITERATIONS, taken
from rateproof.units import format_duration

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/reference"
SCHEMA = ROOT / "src/rateproof/simulate/scenario.schema.json"
SETTINGS_SCHEMA = ROOT / "src/rateproof/options/settings.schema.json"
INTRODUCTION = (
    "What `rateproof simulate --scenario FILE` reads. "
    "[Scenario files](../simulate/scenarios.md) tells how to write one."
)
ODD = Policy.parse("7 per 3s")
_SETTINGS: dict[str, Any] = {}
"""Stands for the definitions of a settings file, which has none: a text may be a list there."""


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


def table(*rows: Iterable[str]) -> str:
    """A table; the first row is its head, and a column in which nothing stands is left out."""
    columns = [each for each in zip(*rows, strict=True) if any(each[1:])]
    lines = [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        for row in zip(*columns, strict=True)
    ]
    return "\n".join([lines[0], "|---" * len(columns) + "|", *lines[1:]])


def flags(option: Option) -> str:
    """The form of an option on the command line."""
    told = [f"-{option.short}"] if option.short else []
    value = "" if option.switch or option.positional else f" {option.placeholder}"
    return ", ".join(f"`{flag}{value}`" for flag in [*told, option.flag])


def cells(option: Option) -> list[str]:
    """The meaning, what is accepted, and the default."""
    form = "" if option.switch or option.help == option.kind.form else option.kind.form
    return [option.help, form, option.otherwise or option.default or ""]


def verb_page(verb: Verb) -> str:
    """The page of a verb."""
    examples = "\n".join(f"rateproof {example}" for example in verb.examples)
    parts = [f"# rateproof {verb.name}", verb.summary, f"```\n{examples}\n```"]
    if verb.config:
        parts.append(" ".join(f"{NOTES} {VARIABLES if verb.environment else ''}".split()))
    filed = verb.config or verb.waits
    for heading, options in verb.groups.items():
        head = ["option", "meaning", "accepted", "default", "in a file"]
        rows = [
            [flags(each), *cells(each), f"`{each.in_file}`" if filed and verb.filed(each) else ""]
            for each in options
            if not each.hidden
        ]
        parts.append(f"## {heading.capitalize()}\n\n{table(head, *rows)}")
    return "\n\n".join([*parts, f"E{' '.join(EXIT_CODES.split())[1:]}."]) + "\n"


def accepted(option: Option) -> str:
    """Values of a key of a scenario file."""
    kind = option.kind
    if isinstance(kind, Section):
        return "a distribution"
    if isinstance(kind, Pairs):
        return "a table of names and texts"
    if isinstance(kind, Series):
        return f"an array of {kind.form.partition(',')[0]}"
    return "`true` or `false`" if option.switch else str(kind.form)


def python(option: Option) -> str:
    """Values of an option of the fixture."""
    if option.switch:
        return "True or False"
    return accepted(option).replace("a table", "a mapping").replace("an array", "a collection")


def left_out(option: Option, behaviour: Any) -> str:
    """Value of a behaviour where a key is left out."""
    aimed = make_behaviour(behaviour.name, policy=ODD)
    default = {each.name: each.default for each in fields(behaviour)}.get(option.inside)
    if option.name == "rate":
        return "the behaviour's own"
    if getattr(aimed, option.inside) != getattr(behaviour(), option.inside):
        return "follows from the policy"
    if isinstance(option.kind, Section):
        inner = ", ".join(format_duration(value) for value in vars_of(default))
        return f"{default.name} {inner}"
    return str(option.kind.shown(default)) if default is not None else "follows from the others"


def vars_of(value: Any) -> list[int]:
    """The values of the fields of a distribution."""
    return [getattr(value, each.name) for each in fields(value)]


def first_line(kind: Any) -> str:
    """The first sentence of a docstring."""
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def scenario_page() -> str:
    """The page of the scenario file."""
    head = ["key", "meaning", "accepted", "default"]
    top = [
        [f"`{name}`", option.help, accepted(option), option.otherwise or option.default or ""]
        for name, option in SCENARIO.options.items()
    ]
    behaviour = ["`behaviour`", "how each client of the group sends", "a name from below", "think"]
    groups = [
        [f"`{name}`", each.help, accepted(each), each.default or ""]
        for name, each in CLIENTS.options.items()
    ]
    keys = [
        [f"`{name}`", f"`{key}`", each.help, accepted(each), left_out(each, BEHAVIOURS[name])]
        for name, options in CLIENTS.variants.items()
        for key, each in options.items()
    ]
    parameters = [
        [f"`{name}`", f"`{key}`", each.help, accepted(each)]
        for name, options in INTERVAL.variants.items()
        for key, each in options.items()
    ]
    summaries = [[f"`{name}`", first_line(kind)] for name, kind in BEHAVIOURS.items()]
    shapes = [[f"`{name}`", first_line(kind)] for name, kind in INTERVALS.items()]
    return "\n\n".join(
        [
            "# The scenario file",
            INTRODUCTION,
            f"## Keys of the file\n\n{table(head, *top)}",
            f"## Keys of `[[clients]]`\n\n{table(head, behaviour, *groups)}",
            f"## Behaviours\n\n{table(['behaviour', 'what it does'], *summaries)}",
            table(["behaviour", *head], *keys),
            f"## Distributions\n\n{table(['distribution', 'what it is'], *shapes)}",
            table(["distribution", *head[:-1]], *parameters) + "\n",
        ]
    )


def _help(name: str, said: str) -> str:
    """The meaning of an option of the fixture: `shrink=False` is what `--no-shrink` is elsewhere."""
    return said.replace(" no ", " the ") if name == "shrink" else said


def fixture_page() -> str:
    """The page of the pytest fixture."""
    rows = [
        [f"`{name}`", _help(name, option.help), python(option), default]
        for name, option in taken().items()
        if name != "policy"
        for default in [
            f"{ITERATIONS}, more for several quotas"
            if name == "iterations"
            else str(option.value())
            if option.switch
            else option.otherwise or option.default or ""
        ]
    ]
    rows.append(
        [
            "`allow_inconclusive`",
            "pass where it could not be told whether the limit holds, but something was admitted",
            "True or False",
            "False",
        ]
    )
    return (
        "# rateproof.assert_holds\n\nThe options of the pytest fixture, which "
        "[In pipelines](../hunt/pipelines.md) introduces: "
        "`rateproof.assert_holds(url, policy, **options)`.\n\n"
        f"{table(['option', 'meaning', 'accepted', 'default'], *rows)}\n"
    )


def arguments(kind: type) -> list[list[str]]:
    """Meaning of each field of a record, by its docstring."""
    text = re.split("(?:Args|Attributes):\n", inspect.getdoc(kind) or "")[-1]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return [
        [f"`{name}`", " ".join(told.split()).removesuffix(".").replace("None", "null")]
        for name, told in found
    ]


def log_page() -> str:
    """The page of the event log: its columns, as `Event` documents them."""
    names = {bytes: "bytes", int: "int", str: "text", float: "float"}
    kinds = [
        names.get(kind) or f"{next(names[each] for each in kind.__args__)} or null"
        for kind in get_type_hints(Event).values()
    ]
    rows = [[name, kind, told] for (name, told), kind in zip(arguments(Event), kinds, strict=True)]
    return (
        "# Columns of the event log\n\n"
        "[The event log](../simulate/event-log.md) tells how it is written and read.\n\n"
        f"{table(['column', 'type', 'what it is'], *rows)}\n"
    )


def formats_page() -> str:
    """The page of the formats of access logs."""
    rows = [
        [
            f"`{each.name}`",
            each.stamp,
            _step(each),
            ", ".join(each.names()),
            each.source,
            each.sample,
        ]
        for each in FORMATS.values()
    ]
    head = ["`--format`", "stamp of the", "durations", "fields", "source", "tested with"]
    return (
        "# Formats of access logs\n\n[Access logs](../prove/access-logs.md) tells how they are read. "
        "`field:NAME` is any of the fields; `path`, `method` and `query:NAME` are looked up in the "
        "request too. CloudFront (stamps of the end) and IIS (start or end) are read by their "
        f"`#Fields:`.\n\n{table(head, *rows)}\n"
    )


def _step(each: Format) -> str:
    return "yes" if {"duration", "began"}.intersection(each.names()) else "no"


def verdict_page() -> str:
    """The page of a verdict as JSON: what its records document, and an evidence document."""
    schema = json.loads(
        files("rateproof.prove.evidence").joinpath("evidence.schema.json").read_text()
    )
    document = [
        [f"`{name}`", each.get("description", each.get("const", ""))]
        for name, each in schema["properties"].items()
    ]
    records = {
        "A verdict": Verdict,
        "One of `pressure`": Pressure,
        "One of `closest`": ClosestCall,
        "One of `sensitivity`": Sensitivity,
        "`counts`": Counts,
    }
    parts = [
        f"## {title}\n\n{table(['field', 'what it is'], *arguments(kind))}"
        for title, kind in records.items()
    ]
    causes = [[f"`{getattr(Cause, name.strip('`'))}`", told] for name, told in arguments(Cause)]
    parts.append(f"## Names in `causes`\n\n{table(['name', 'what it means'], *causes)}")
    parts.append(f"## An evidence document\n\n{table(['field', 'what it is'], *document)}\n")
    introduction = (
        "What `--json` prints of a [verdict](../prove/verdicts.md), and an "
        "[evidence](../prove/evidence.md) document. Times are whole nanoseconds. A key is text, "
        "with its exact bytes as `key_base64` beside it."
    )
    return "\n\n".join(["# Verdicts as JSON", introduction, *parts])


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
    """The schema of a scenario file, as it is shipped."""
    return json.dumps(schema(), indent=2, ensure_ascii=True) + "\n"


def settings_schema() -> dict[str, Any]:
    """JSON Schema of a settings file: values as TOML has them, or the texts of the command line."""
    tables = {}
    for verb in VERBS.values():
        if verb.config:
            options = {each.in_file: each for each in filter(verb.filed, verb.options)}
            options |= {ENDPOINTS.name: ENDPOINTS} if verb is VERBS["test"] else {}
            tables[verb.name] = Option(verb.name, Section(options), verb.summary)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The settings of rateproof",
        "description": "What rateproof serve, test and probe read, and the fixture of pytest.",
        **_table(Section({LIMITS.name: LIMITS} | tables), _SETTINGS),
    }


def settings_schema_text() -> str:
    """The schema of a settings file, as it is shipped."""
    return json.dumps(settings_schema(), indent=2, ensure_ascii=True) + "\n"


_AS_TEXT: Final[Mapping[str, dict[str, Any]]] = {
    "integer": {"type": "string", "pattern": "[0-9]"},
    "number": {"type": "string", "pattern": "[0-9]"},
    "boolean": {"enum": ["true", "yes", "on", "1", "false", "no", "off", "0"]},
    "array": {"type": "string"},
}
"""The texts that a settings file may have in place of a value of a type."""


def _listed(kind: Leaf) -> dict[str, Any]:
    """A value, or what has the same text."""
    found: list[dict[str, Any]] = [dict(kind.schema)]
    if (told := _AS_TEXT.get(str(kind.schema.get("type")))) is not None:
        found.append(told)
    if kind in (POLICY, PATHS, NETWORKS, PROXIES):
        found.append({"type": "array", "items": {"type": "string"}})
    if kind is PROXIES:
        found.append({"type": "integer"})
    numbers = [int(each) for each in kind.schema.get("enum", ()) if each.isdecimal()]
    if numbers:
        found.append({"enum": numbers})
    return found[0] if len(found) == 1 else {"anyOf": found}


def _of(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, Pairs):
        return dict(kind.schema)
    if isinstance(kind, Leaf):
        return _listed(kind) if definitions is _SETTINGS else dict(kind.schema)
    if isinstance(kind, NamedTables):
        names = {"propertyNames": dict(kind.name.schema)}
        return {"type": "object", **names, "additionalProperties": _table(kind.item, definitions)}
    if isinstance(kind, Series):
        items = {"type": "array", "minItems": kind.least, "items": _of(kind.item, definitions)}
        is_text = definitions is _SETTINGS and isinstance(kind.item, Leaf)
        return {"anyOf": [items, _AS_TEXT["array"]]} if is_text else items
    if kind.name is None:
        return _table(kind, definitions)
    if kind.name not in definitions:
        definitions[kind.name] = _table(kind, definitions)
    return {"$ref": f"#/$defs/{kind.name}"}


def _properties(options: Mapping[str, Option], definitions: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"description": _help(name, each.text), **_of(each.kind, definitions)}
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
    """The schema where the tag has this text; a table without a tag is of the default."""
    assert kind.tag is not None
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


def settings_page() -> str:
    """The page of the settings file: of the tables that belong to no verb."""
    head = ["key", "meaning", "accepted", "default"]
    limit, endpoint = (
        [
            [
                f"`{name}`",
                _help(name, each.help),
                accepted(each),
                each.otherwise or each.default or "",
            ]
            for name, each in section.options.items()
        ]
        for section in (LIMITS.kind.item, ENDPOINTS.kind.item)
    )
    verbs = ", ".join(f"[`[{v.name}]`]({v.name}.md)" for v in VERBS.values() if v.config)
    return (
        "# Tables of the settings file\n\n[The settings file](../settings-file.md) tells how it is "
        f"found and read. The tables of verbs have their options: {verbs}.\n\n"
        f"## `[limits.NAME]`\n\n{table(head, *limit)}\n\n"
        f"## `[[test.endpoints]]`\n\nOne that has no value of its own has that of its limit, then of "
        f"`[test]`, then the default.\n\n{table(head[:-1], *(row[:-1] for row in endpoint))}\n"
    )


def metrics_page() -> str:
    """The page of `/metrics`: each metric, as the page itself says it."""
    said = exposition(ODD, Stats(dict.fromkeys(Count, 0), {}, {}))
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", said, re.MULTILINE))
    rows = [
        [f"`{name}`", kinds[name], meaning]
        for name, meaning in re.findall(r"^# HELP (\w+) (.*)$", said, re.MULTILINE)
    ]
    return (
        "# Metrics\n\nWhat `/metrics` tells. [Operations](../enforce/operations.md#metrics) says who "
        f"may ask, and what is worth an alert.\n\n{table(['metric', 'kind', 'what it counts'], *rows)}\n"
    )


def pages() -> dict[str, str]:
    """Every page, by the name of its file."""
    found = {f"{verb.name}.md": verb_page(verb) for verb in VERBS.values()}
    others = {
        "scenario-file": scenario_page,
        "pytest": fixture_page,
        "event-log": log_page,
        "settings-file": settings_page,
        "verdict": verdict_page,
        "access-logs": formats_page,
        "metrics": metrics_page,
    }
    return found | {f"{name}.md": page() for name, page in others.items()}


def main() -> None:
    """Write every page, and the schemas."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    SCHEMA.write_text(schema_text())
    SETTINGS_SCHEMA.write_text(settings_schema_text())


if __name__ == "__main__":
    main()
