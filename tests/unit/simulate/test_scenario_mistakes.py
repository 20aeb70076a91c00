"""Claims about mistakes in scenario files: each is named with its line, and refused by the schema."""

import tomllib
from pathlib import Path

import jsonschema
import pytest

from rateproof.errors import InvalidArgument
from rateproof.simulate.scenario_file import load
from tests.scenario_files import ONE, SCHEMA, Files

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
