"""Claims about scenario files: read as they say, and every mistake named with its line."""

import json
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec, Part
from rateproof.policy import Policy
from rateproof.simulate import scenario_file
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
from rateproof.simulate.scenario_file import ScenarioFile, load
from rateproof.simulate.scenario_file.groups import CLIENTS

MS, SECOND = 10**6, 10**9
SCHEMA = json.loads(
    Path(scenario_file.__file__).parent.with_name("scenario.schema.json").read_text()
)
ONE = "[[clients]]\n"


class Files:
    """Writes scenario files into a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "scenario.toml"

    def load(self, text: str) -> ScenarioFile:
        self.path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(self.path)

    def scenario(self, text: str, **overrides: Any) -> Scenario:
        return self.load(text).scenario(**overrides)

    def errors(self, text: str) -> list[str]:
        with pytest.raises(InvalidArgument) as caught:
            self.load(text)
        first, *errors = caught.value.message.splitlines()
        assert str(self.path) in first
        return [error.strip() for error in errors]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


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


# ------------------------------------------------------------- what is refused

# Each is refused by the loader, at this line and path, and by the schema.
BAD = [
    ("", "clients: is missing (who sends)"),
    ("clients = []", "line 1: clients: 0 items (at least 1)"),
    ("clients = 5", "line 1: clients: 5 is a whole number, not an array"),
    ("[clients]", "line 1: clients: {} is a table, not an array"),
    ("clients = [1]", "line 1: clients[0]: 1 is a whole number, not a table"),
    (f"duraton = '3s'\n{ONE}", "line 1: duraton: unknown key (did you mean duration?)"),
    (f"colour = 1\n{ONE}", "line 1: colour: unknown key (one of body, ca_file, clients"),
    (f"URL = 'http://a/'\n{ONE}", "line 1: URL: unknown key (did you mean url?)"),
    (f"url = 'ftp://a/'\n{ONE}", "line 1: url: URL 'ftp://a/' is not a web address"),
    (f"url = 8080\n{ONE}", "line 1: url: 8080 is a whole number, not a text"),
    (f"duration = 30\n{ONE}", "line 1: duration: 30 is a whole number, not a text"),
    (f"duration = '30'\n{ONE}", "line 1: duration: '30' is not a duration"),
    (f"duration = '0s'\n{ONE}", "line 1: duration: '0s' is too short"),
    (f"duration = '-1s'\n{ONE}", "line 1: duration: '-1s' is not a duration"),
    (f"duration = 07:32:00\n{ONE}", "line 1: duration: datetime.time(7, 32) is a date or time"),
    (f"seed = -1\n{ONE}", "line 1: seed: -1 is out of range (a whole number from 0"),
    (f"seed = 1.0e300\n{ONE}", "line 1: seed: 1e+300 is a number, not a whole number"),
    (f"seed = true\n{ONE}", "line 1: seed: True is true or false, not a whole number"),
    (f"policy = 'five'\n{ONE}", "line 1: policy: 'five' is not a policy"),
    (f"key = 'ip'\n{ONE}", "line 1: key: key 'ip' has no place for an identity"),
    (f"method = 'get'\n{ONE}", "line 1: method: 'get'"),
    (f"method = 'CONNECT'\n{ONE}", "line 1: method: 'CONNECT'"),
    (f"headers = 'A: b'\n{ONE}", "line 1: headers: its value is a text, not a table"),
    (f"headers = {{ A = 1 }}\n{ONE}", "line 1: headers.A: its value is a whole number, not a text"),
    (f"headers.'A B' = ''\n{ONE}", "line 1: headers.'A B': header name 'A B'"),
    (f"headers.HOST = 'x'\n{ONE}", "line 1: headers.HOST: header 'HOST' is not free"),
    (f'headers.A = "x\\r\\nB: c"\n{ONE}', "line 1: headers.A: header 'A' has the value"),
    (f"body = ['x']\n{ONE}", "line 1: body: ['x'] is an array, not a text"),
    (f"max_connections = 0\n{ONE}", "line 1: max_connections: 0 is out of range"),
    (f"max_rate = 0\n{ONE}", "line 1: max_rate: 0 is out of range (requests a second, above 0"),
    (f"max_rate = inf\n{ONE}", "line 1: max_rate: inf is out of range"),
    (f"rejected = 429\n{ONE}", "line 1: rejected: 429 is a whole number, not an array"),
    (f"rejected = []\n{ONE}", "line 1: rejected: 0 items (at least 1)"),
    (f"rejected = [\n 429,\n 42,\n]\n{ONE}", "line 3: rejected[1]: 42 is out of range"),
    (f"insecure = 'yes'\n{ONE}", "line 1: insecure: 'yes' is a text, not true or false"),
    (f"insecure = true\n{ONE}", "line 1: insecure: insecure with 'http://127.0.0.1:8080/'"),
    (f"url = 'http://a/'\nca_file = 'x'\n{ONE}", "line 2: ca_file: ca_file with 'http://a/'"),
    (
        f"url = 'https://a/'\nca_file = 'x'\ninsecure = true\n{ONE}",
        "line 2: ca_file: ca_file and insecure together",
    ),
    (f"{ONE}count = 0", "line 2: clients[0].count: 0 is out of range"),
    (f"{ONE}count = 1_000_001", "line 2: clients[0].count: 1000001 is out of range"),
    (f"{ONE}{ONE}connections = 'two'", "line 3: clients[1].connections: 'two' is a text"),
    (f"{ONE}behaviour = 'boundry'", "line 2: clients[0].behaviour: 'boundry' is unknown (did you"),
    (f"{ONE}behaviour = 7", "line 2: clients[0].behaviour: 7 is unknown (one of backoff"),
    (f"{ONE}limit = 5", "line 2: clients[0].limit: is not a key of think (of boundary)"),
    (f"{ONE}pause = '1s'", "line 2: clients[0].pause: '1s' is a text, not a table"),
    (f"{ONE}pause = {{ mean = '1s' }}", "line 2: clients[0].pause.distribution: is missing"),
    (
        f"{ONE}pause = {{ distribution = 'exponential' }}",
        "line 2: clients[0].pause.mean: is missing",
    ),
    (
        f"{ONE}pause = {{ distribution = 'normal', mean = '1s' }}",
        "line 2: clients[0].pause.distribution: 'normal' is unknown (did you mean lognormal?)",
    ),
    (
        f"{ONE}[clients.pause]\ndistribution = 'lognormal'\nmedian = '1s'\nsigma = 11",
        "line 5: clients[0].pause.sigma: 11 is out of range (a number, above 0 and at most 10)",
    ),
    (
        f"{ONE}rate = 5\nbehaviour = 'saturate'",
        "line 2: clients[0].rate: is not a key of saturate (of backoff",
    ),
    (f"{ONE}rate = 0.0", "line 2: clients[0].rate: 0.0 is out of range"),
    (
        f"{ONE}behaviour = 'poisson'\nrate = 5\nmean_interval = '1s'",
        "line 3: clients[0].rate: cannot stand beside mean_interval",
    ),
]

# What only the loader can judge.
SUBTLE = [
    (f"url = 'http://a:99999/'\n{ONE}", "line 1: url: URL 'http://a:99999/': Port out of range"),
    (f"policy = '0 per 5s'\n{ONE}", "line 1: policy: limit 0"),
    (f"duration = '100000d'\n{ONE}", "line 1: duration: '100000d' is too long"),
    (f"timeout = '2h'\n{ONE}", "line 1: timeout: '2h' is out of range (1ms to 1h)"),
    (f"timeout = '1us'\n{ONE}", "line 1: timeout: '1us' is out of range (1ms to 1h)"),
    (
        f"url = 'http://a/?clientId=1'\n{ONE}",
        "line 1: url: the URL 'http://a/?clientId=1' has 'clientId' already",
    ),
    (
        f"key = 'header:X-Id'\nheaders.x-id = '1'\n{ONE}",
        "line 2: headers: header 'x-id' carries the identity",
    ),
    (f"headers.a = '1'\nheaders.A = '2'\n{ONE}", "line 1: headers: header 'A' twice"),
    (
        f"{ONE}behaviour = 'boundary'\nwindow = '1s'\nedge = '300ms'",
        "line 1: clients[0]: edge is 300ms",
    ),
    (
        f"{ONE}pause = {{ distribution = 'uniform', low = '2s', high = '1s' }}",
        "line 2: clients[0].pause: high_ns 1000000000 is below low_ns",
    ),
    (
        f"{ONE}count = 1_000_000\n{ONE}",
        "line 1: clients: connections in all: 1000001 is out of range (a whole",
    ),
]


@pytest.mark.parametrize(("text", "error"), [*BAD, *SUBTLE])
def test_a_mistake_is_named_with_its_line_and_path(files: Files, text: str, error: str) -> None:
    (found,) = files.errors(text)
    assert found.startswith(error)


@pytest.mark.parametrize("text", [text for text, _ in BAD])
def test_the_schema_refuses_what_is_wrong_by_itself(text: str) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert not validator.is_valid(tomllib.loads(text))


def test_every_mistake_is_named_at_once_in_the_order_of_the_file(files: Files) -> None:
    found = files.errors(
        """\
        [[clients]]
        count = 0
        pause = { distribution = "exponential", mean = "500" }
        [[clients]]
        behaviour = "boundary"
        limt = 3
        pause = "1s"
        [headers]
        Host = "x"
        """
    )
    assert [error.partition(": ")[0] for error in found] == [
        "line 2",
        "line 3",
        "line 6",
        "line 7",
        "line 9",
    ]


def test_a_mistake_in_one_value_hides_none_that_two_others_make(files: Files) -> None:
    found = files.errors(f"seed = -1\nkey = 'query:a'\nurl = 'http://h/?a'\n{ONE}")
    assert [error.split(":")[0] for error in found] == ["line 1", "line 2"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"seed = ", "is not TOML: Invalid value (at"),
        (b"seed = 1\nseed = 2\n", "is not TOML: Cannot overwrite a value (at line 2"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"seed = " + b"9" * 10_000, "is not TOML"),
        (b"seed = 1\nurl = '\xff'", "line 2 of scenario"),
        (b"#" * (2**22 + 1), "is above 4 MiB"),
    ],
)
def test_what_is_not_toml_at_all_is_refused(files: Files, content: bytes, named: str) -> None:
    files.path.write_bytes(content)
    with pytest.raises(InvalidArgument) as caught:
        load(files.path)
    assert named in caught.value.message
    assert str(files.path) in caught.value.message


@pytest.mark.parametrize("name", ["missing.toml", ".", "/dev/null", "a\0b", "x" * 300])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="scenario"):
        load(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_a_file(files: Files) -> None:
    files.path.write_bytes(b"\xef\xbb\xbf" + ONE.encode())
    assert load(files.path).groups


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


def test_a_bad_group_hides_no_error_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        "[[clients]]\nbehaviour = 'nobody'\n"
        "[[clients]]\nbehaviour = 'boundary'\nwindow = '1s'\nedge = '300ms'\n"
        "[[clients]]\ncount = 900000\nconnections = 2\n"
    )
    with pytest.raises(InvalidArgument) as refused:
        load(path)
    told = str(refused.value)
    assert "3 errors" in told
    assert "line 2: clients[0].behaviour: 'nobody'" in told
    assert "line 3: clients[1]: edge is 300ms" in told
    assert "clients: connections in all: 1800001" in told


def test_a_policy_that_is_no_policy_is_the_only_error(tmp_path: Path) -> None:
    """Nobody can know if attackers fit it."""
    path = tmp_path / "aimless.toml"
    path.write_text(
        "policy = 'many'\n[[clients]]\nbehaviour = 'boundary'\nedge = '2s'\n"  # of 5 s: too far
    )
    with pytest.raises(InvalidArgument) as refused:
        load(path)
    assert "has an error" in str(refused.value)
    path.write_text(path.read_text().replace("many", "9 per 20s"))
    assert load(path).scenario().groups[0].behaviour


def test_a_rate_that_is_hardly_any_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "slow.toml"
    path.write_text(f"seed = 1\nmax_rate = 1e-300\n{ONE}")
    with pytest.raises(InvalidArgument, match="line 2: max_rate: 1e-300"):
        load(path)
    path.write_text(f"{ONE}rate = 1e-300\n")
    with pytest.raises(InvalidArgument, match="73 years"):
        load(path)
