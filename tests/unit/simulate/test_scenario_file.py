"""Claims about scenario files: each is read as it says."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec, Part
from rateproof.policy import Policy
from rateproof.simulate.behaviour import describe
from rateproof.simulate.behaviours import BEHAVIOURS
from rateproof.simulate.behaviours.backoff import Backoff
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.ramp import Ramp
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.sybil import Sybil
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.programs.arrivals import Exponential, LogNormal
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.scenario_file.groups import CLIENTS
from tests.scenario_files import ONE, SCHEMA, Files

MS, SECOND = 10**6, 10**9


# ------------------------------------------------------------- what a file says


def test_every_key_of_a_file_is_heard(files: Files) -> None:
    made = files.scenario(
        """
        url = "http://127.0.0.1:9000/login?a=b"
        duration = "1.5m"
        seed = 7
        policy = "3 per 2s; 100 per hour"
        key = "ip|header:X-Client-Id"
        method = "POST"
        body = "name=\\u00e4"
        timeout = "3s"
        connect_timeout = "500ms"
        max_connections = 20
        max_rate = 12.5
        rejected = [429, 420]
        lag_tolerance = "2ms"

        [headers]
        Content-Type = "text/plain"
        "X-Odd" = ""

        [[clients]]
        count = 3
        connections = 2
        behaviour = "think"
        pause = { distribution = "lognormal", median = "2s", sigma = 1 }

        [[clients]]
        behaviour = "backoff"
        base = "10ms"
        retries = 3
        """,
        namespace="n",
    )
    assert made == Scenario(
        target=made.target,
        groups=(
            Group(Think(LogNormal(2 * SECOND, 1.0)), 3, 2),
            Group(Backoff(base_ns=10 * MS, retries=3)),
        ),
        seed=7,
        duration_ns=90 * SECOND,
        key=Part("header", "X-Client-Id"),
        timeout_ns=3 * SECOND,
        max_rate=12.5,
        rejected_statuses=frozenset({420, 429}),
        namespace="n",
        policy=Policy.parse("3 per 2s; 100 per hour"),
        method="POST",
        headers=(("Content-Type", "text/plain"), ("X-Odd", "")),
        body=b"name=\xc3\xa4",
        connect_timeout_ns=500 * MS,
        max_connections=20,
        lag_tolerance_ns=2 * MS,
    )
    assert made.target.url == "http://127.0.0.1:9000/login?a=b"


def test_what_a_file_leaves_out_is_as_without_a_file(files: Files) -> None:
    made = files.scenario(ONE, seed=1, namespace="n")
    expected = Scenario(target=made.target, groups=(Group(Think()),), seed=1, namespace="n")
    assert made == expected
    assert made.target.url == "http://127.0.0.1:8080/"


def test_a_file_without_a_seed_gives_another_one_each_time(files: Files) -> None:
    read = files.load(ONE)
    assert len({read.scenario().seed for _ in range(20)}) > 1


@pytest.mark.parametrize("name", sorted(BEHAVIOURS))
def test_every_behaviour_can_be_written_with_all_of_its_parameters(files: Files, name: str) -> None:
    """A behaviour's defaults, written out, are read back as they are."""

    def written(value: Any) -> str:
        if isinstance(value, dict):
            inner = value | {"distribution": value["name"]}
            return "{" + ", ".join(f"{k} = {v}" for k, v in pairs(inner)) + "}"
        return json.dumps(value)

    def pairs(data: dict[str, Any]) -> list[tuple[str, str]]:
        return [
            (key.removesuffix("_ns"), json.dumps(f"{value}ns"))
            if key.endswith("_ns")
            else (key, written(value))
            for key, value in data.items()
            if key != "name"
        ]

    behaviour = BEHAVIOURS[name]()
    lines = [f"{key} = {value}\n" for key, value in pairs(describe(behaviour))]
    (group,) = files.scenario(f'{ONE}behaviour = "{name}"\n{"".join(lines)}').groups
    assert group.behaviour == behaviour


def test_no_parameter_has_the_name_of_a_key_of_every_group() -> None:
    common = {*CLIENTS.options, CLIENTS.tag, "rate"}
    for name in BEHAVIOURS:
        rated = {"rate"} & CLIENTS.variants[name].keys()
        assert common & CLIENTS.variants[name].keys() == rated


def test_attackers_aim_at_the_policy_where_they_are_not_told_otherwise(files: Files) -> None:
    text = 'policy = "7 per 3s"\n[[clients]]\nbehaviour = "boundary"\n'
    assert files.scenario(text).groups[0].behaviour == Boundary(7, 3 * SECOND)
    told = files.scenario(text + 'window = "10s"\n').groups[0].behaviour
    assert told == Boundary(7, 10 * SECOND)
    assert told.edge_ns == 200 * MS  # of the window that was told, not of the policy's
    sybil = files.scenario(ONE + 'behaviour = "sybil"\n', policy=Policy.parse("9 per 1s"))
    assert sybil.groups[0].behaviour == Sybil(9)


@pytest.mark.parametrize(
    ("lines", "behaviour"),
    [
        ('behaviour = "poisson"\n', Poisson(SECOND)),
        ('behaviour = "think"\n', Think(Exponential(SECOND))),
        ('behaviour = "burst"\n', Burst(6, 6 * SECOND)),
        ('behaviour = "ramp"\nstart_per_s = 3\n', Ramp(3.0, 1.0)),
    ],
)
def test_a_rate_is_of_the_whole_group(files: Files, lines: str, behaviour: Any) -> None:
    text = f"{ONE}count = 5\nconnections = 2\nrate = 10\n{lines}"
    assert files.scenario(text).groups == (Group(behaviour, 5, 2),)


def test_certificates_are_looked_for_beside_the_file(files: Files, tmp_path: Path) -> None:
    (error,) = files.errors('url = "https://h/"\nca_file = "ca.pem"\n' + ONE)
    assert str(tmp_path / "ca.pem") in error
    assert error.startswith("line 2: ca_file: cannot read")


# ------------------------------------------------------------- what flags change


def test_keys_and_secrets_are_looked_for_beside_the_file(files: Files, tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("one\n")
    (tmp_path / "token").write_text("Bearer abc\n")
    text = f"body = '@token'\nkeys = 'keys.txt'\nheaders = {{ Authorization = '@token', X = '@@a' }}\n{ONE}"
    told = files.scenario(text)
    assert told.tokens is not None
    assert told.headers == (("Authorization", "Bearer abc"), ("X", "@a"))
    assert told.body == b"@token"  # the body itself, as in Python
    asked = files.scenario(f"query = {{ token = '@{tmp_path / 'token'}' }}\n{ONE}")
    assert asked.target.secret_path.endswith("token=Bearer+abc")
    (error,) = files.errors(f"keys = ''\n{ONE}")
    assert "cannot read ''" in error


def test_flags_win_over_the_file(files: Files) -> None:
    read = files.load('url = "http://a/"\nseed = 1\nheaders = { A = "1", B = "2" }\n' + ONE)
    made = read.scenario(
        url="http://b/",
        seed=2,
        key=KeySpec.parse("ip|cookie:id"),
        duration_ns=SECOND,
        headers=(("a", "3"),),
        method=None,
    )
    assert made.target.url == "http://b/"
    assert made.seed == 2
    assert made.key == Part("cookie", "id")
    assert made.duration_ns == SECOND
    assert made.headers == (("B", "2"), ("a", "3"))
    assert made.method == "GET"
    assert read.scenario().target.url == "http://a/"


def test_flags_change_the_one_group_of_a_file(files: Files) -> None:
    read = files.load(f'{ONE}count = 4\nbehaviour = "poisson"\nmean_interval = "1s"\n')
    assert read.scenario(clients=9).groups == (Group(Poisson(SECOND), 9),)
    assert read.scenario(connections=3).groups == (Group(Poisson(SECOND), 4, 3),)
    assert read.scenario(behaviour="poisson").groups == (Group(Poisson(SECOND), 4),)
    assert read.scenario(behaviour="saturate").groups == (Group(Saturate(), 4),)
    assert read.scenario(behaviour="think", rate_per_s=4.0).groups == (
        Group(Think(Exponential(SECOND)), 4),
    )


def test_a_rate_that_is_told_replaces_what_the_file_says_of_how_often(files: Files) -> None:
    read = files.load(f'{ONE}count = 4\nbehaviour = "poisson"\nmean_interval = "1s"\n')
    assert read.scenario(rate_per_s=8.0).groups == (Group(Poisson(SECOND // 2), 4),)


def test_flags_of_a_group_are_refused_for_a_file_of_several(files: Files) -> None:
    read = files.load(ONE + ONE)
    for told, named in (
        ({"clients": 5}, "--clients needs"),
        ({"rate_per_s": 5.0}, "--rate needs"),
        ({"behaviour": "think", "connections": 2}, "--connections, --behaviour need"),
    ):
        with pytest.raises(InvalidArgument, match=f"{named} a file of one group: .* has 2 groups"):
            read.scenario(**told)


def test_what_flags_make_impossible_is_refused(files: Files) -> None:
    with pytest.raises(InvalidArgument, match="insecure"):
        files.scenario(ONE, insecure=True)
    with pytest.raises(InvalidArgument, match="unknown behaviour 'fly'"):
        files.scenario(ONE, behaviour="fly")
    with pytest.raises(TypeError):
        files.scenario(ONE, colour="red")


# ------------------------------------------------------------- the schema


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_accepts_a_value_of_every_kind() -> None:
    document = """
        url = "https://[::1]:8443/a"
        duration = "1.5 minutes"
        seed = 9223372036854775807
        policy = "token-bucket 5 per 5s burst 7; 100/hour"
        key = "query:a+header:b|ip"
        method = "M-SEARCH"
        body = ""
        insecure = true
        rejected = [503]
        headers = { hostile = "", "Content-Type" = "a b" }
        clients = [{}, { behaviour = "ramp", start_per_s = 0, rate = 0.5 },
            { behaviour = "boundary", edge = "0" }]
        """
    jsonschema.Draft202012Validator(SCHEMA).validate(tomllib.loads(document))


# ------------------------------------------------------------- the page about it


def test_the_example_and_the_mistakes_of_the_page_are_true(files: Files) -> None:
    page = (Path(__file__).parents[3] / "docs/simulate/scenarios.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert files.scenario(example).client_count == 103
    wrong = (
        example.replace("duration =", "duraton =")
        .replace("500ms", "500")
        .replace('behaviour = "boundary"', 'behaviour = "boundary"\npause = "1s"')
    )
    said = page.partition("has 3 errors\n")[2].partition("```")[0]
    assert files.errors(wrong) == [line.strip() for line in said.splitlines()]
