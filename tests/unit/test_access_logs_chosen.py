"""Access logs: the lines that `--where`, `--since` and `--until` choose."""

from pathlib import Path

import pytest

from rateproof.cli import main
from rateproof.errors import InvalidArgument, LogError
from rateproof.events.access_logs import Where
from rateproof.policy import Policy
from rateproof.prove import judge
from tests.access_lines import BEGIN_NS, SECOND, line, read

ROOT = Path(__file__).parents[2]


def rows(text, lines=None, **told):
    lines = lines or [
        line(0, path="/api/a", status=200),
        line(1, path="/api/b", status=429, agent="a (b) 'c'"),
        line(2, path="/", ip="2001:db8::1"),
    ]
    return [event.sequence for event in read(lines, where=Where.parse(text), **told)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path ~ ^/api/ and method = GET", [1, 2]),
        ("path ~ ^/(api|x)/a$", [1]),
        ("(path ~ ^/(api|x)/b)", [2]),
        ("not path ~ ^/api/", [3]),
        ("not not path ~ ^/api/", [1, 2]),
        ("path !~ b and path != /", [1]),
        ("path = / or path = /api/a and status = 429", [3]),
        ("(path = / or path = /api/a) and status = 200", [1, 3]),
        ("status=429", [2]),
        ("ip = 2001:db8::1", [3]),
        ("header:User-Agent = \"a (b) 'c'\"", [2]),
        ("header:user-agent = 'a (b) \\'c\\''", [2]),
        ("query:id = '' and not(path = /)", [1, 2]),
        ("body_bytes_sent ~ ^12$ and field:remote_user = ''", [1, 2, 3]),
    ],
)
def test_a_condition_chooses_the_requests_that_it_says(text, expected):
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", 1, "expected a field"),
        ("path", 5, "expected = != ~ or !~"),
        ("path == /", 7, "expected a value"),
        ("path = ", 8, r"expected a value \(''"),
        ("path = 'a", 8, "the quote has no end"),
        ("(path = a", 10, r"expected \)"),
        ("path = a)", 9, "expected and, or, or the end"),
        ("path = a method = b", 10, "expected and, or, or the end"),
        ("path = a and", 13, "expected a field"),
        ("path ~ a(", 8, "no regular expression"),
        ("a+b = c", 1, "no field"),
        ("ip:x = c", 1, "no field"),
        ("json:a = c", 1, "no field"),
    ],
)
def test_an_error_of_a_condition_names_the_place(text, place, problem):
    with pytest.raises(InvalidArgument, match=rf"character {place}: ({problem})"):
        Where.parse(text)


def test_a_condition_on_what_the_format_has_not_is_refused():
    with pytest.raises(InvalidArgument, match="has no header:X-Api-Key"):
        rows("header:X-Api-Key = a")
    with pytest.raises(LogError, match="none of its 3 requests is of those asked for"):
        rows("path = /none")


def test_check_judges_the_requests_that_the_policy_counts_and_says_so(tmp_path, capsys):
    path = tmp_path / "access.log"
    lines = [line(t, path="/api/" if t % 2 else "/") for t in range(6)]
    path.write_bytes(b"".join(lines))
    asked = ["check", str(path), "--policy", "3 per 1m", "--format", "nginx"]
    assert main(asked) == 1
    assert main([*asked, "--where", "path ~ ^/api/"]) == 2
    out, err = capsys.readouterr()
    assert "the policy counts requests where path ~ ^/api/, and no others" in out
    assert "3 of 6 requests are of those asked for" in err


def test_since_and_until_leave_out_what_was_decided_before_and_after(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(line(60 * t) for t in range(10)))
    asked = ["check", str(path), "--policy", "3 per 1m", "--format", "nginx", "--json"]
    for since in ("2026-11-30T12:03:00Z", "2026-11-30T13:03:00+01:00"):
        main([*asked, "--since", since, "--until", "2026-11-30T12:06:00.5Z"])
        assert "4 of 10 requests are of those asked for" in capsys.readouterr().err


def test_a_rejection_whose_reason_lies_before_since_or_after_until_is_not_judged():
    times = [(0, 200), (1, 200), (2, 429), (100, 200), (200, 429), (300, 200)]
    lines = [line(t, status=status) for t, status in times]
    policy = Policy.parse("5 per 50s")
    assert judge(read(lines), policy).outcome == "violated"
    since = BEGIN_NS + 180 * SECOND
    assert judge(read(lines, since_ns=since), policy).outcome != "violated"
    until = BEGIN_NS + 198 * SECOND
    assert judge(read(lines, until_ns=until), policy).outcome != "violated"
    assert judge(read(lines, since_ns=since - 60 * SECOND), policy).outcome == "violated"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--since", "2026-11-30T12:00:00"], "--since '2026-11-30T12:00:00' is not an instant"),
        (["--until", "noon"], "--until 'noon' is not an instant"),
        (
            ["--since", "2026-11-30T12:00:00Z", "--until", "2026-11-30T12:00:00Z"],
            "is not after --since",
        ),
        (["--where", "path"], "character 5"),
    ],
)
def test_an_instant_without_a_zone_or_a_condition_that_is_none_is_refused(
    words, problem, tmp_path, capsys
):
    path = tmp_path / "access.log"
    path.write_bytes(line())
    assert main(["check", str(path), *words]) == 64
    assert problem in capsys.readouterr().err


def test_lines_are_chosen_in_access_logs_alone(capsys):
    log = next((ROOT / "tests/histories").rglob("*.jsonl"))
    assert main(["check", str(log), "--where", "path = /"]) == 64
    assert "chooses lines of access logs" in capsys.readouterr().err
