"""The command that repeats a schedule: a shell that runs it gets the same test again."""

import json
import shlex
from dataclasses import replace

import pytest

from rateproof import cli
from rateproof.hunt.commands import command_line, repeat_command
from rateproof.hunt.recipe import Phase, Recipe
from rateproof.hunt.shrinking.reproduction import Reproduction, Tries
from rateproof.options.arguments import parse
from rateproof.options.forms import Data
from rateproof.simulate.behaviours.schedule import Schedule

SECOND = 1_000_000_000
RECIPE = Recipe(
    Schedule(((0, 1), (SECOND, 2))),
    connections=2,
    others=Schedule(((5, 9),)),
    phase=Phase(3, SECOND),
)
DEFAULTS = ["http://127.0.0.1:8081/"]
EVERYTHING = [
    *("https://example.test/a?b=c", "--policy", "5 per 1s; 20 per 10s"),
    *("--key", "header:X-Client", "--claim", "over-admission", "--tolerance", "1000ppm"),
    *("--timeout", "2500ms", "--method", "POST", "--header", "Accept: a 'b'", "--data", "x y"),
    *("--max-rate", "33.5", "--transport", "threads", "--cacert", "a file.pem", "--insecure"),
    *("--start", "serve --port {port}", "--count-denied", "--rejected", "503,403"),
]
NOT_REPEATED = {"seed", "iterations", "fail_fast", "out", "yes", "recipe", "json", "shrink"}


@pytest.fixture
def settings_of(monkeypatch):
    """The settings of a test that a command line makes."""

    def read(words):
        seen = []
        monkeypatch.setattr("rateproof.hunt.run_test", lambda settings, *_: seen.append(settings))
        cli._test(parse(["test", *words]))
        return seen[0]

    return read


@pytest.mark.parametrize("given", [DEFAULTS, EVERYTHING], ids=["defaults", "everything"])
def test_it_gives_the_settings_and_the_recipe_again(settings_of, given):
    before = settings_of(given)
    program, verb, *words = shlex.split(shlex.join(repeat_command(before, RECIPE)))
    assert (program, verb) == ("rateproof", "test")
    after = settings_of(words)
    assert after.recipe == RECIPE
    assert after.iterations == 1
    for name in vars(before):
        if name not in NOT_REPEATED:
            assert getattr(after, name) == getattr(before, name), name


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["rateproof"], ["rateproof", "test"]),
        (["{here}/.venv/bin/rateproof"], [".venv/bin/rateproof", "test"]),
        (["/opt/bin/rateproof"], ["/opt/bin/rateproof", "test"]),
        (["python", "tester.py"], ["python", "tester.py"]),
        (["{here}/.venv/bin/python", "tester.py"], [".venv/bin/python", "tester.py"]),
        (["python3", "-m", "/opt/rateproof/__main__.py"], ["python3", "-m", "rateproof", "test"]),
        (["python", "-m", "/opt/pytest/__main__.py"], ["rateproof", "test"]),
        (["/opt/bin/pytest"], ["rateproof", "test"]),
    ],
)
def test_it_begins_as_what_found_it_was_started(settings_of, monkeypatch, tmp_path, typed, words):
    """A script on the path is given to it whole; the shell finds `rateproof` in this one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "rateproof").touch(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.chdir(tmp_path)
    begun = [word.format(here=tmp_path) for word in typed]
    monkeypatch.setattr("sys.orig_argv", begun)
    program = str(folder / "rateproof") if begun == ["rateproof"] else begun[-1]
    monkeypatch.setattr("sys.argv", [program])
    command = repeat_command(settings_of(DEFAULTS), RECIPE)
    assert command[: len(words) + 1] == [*words, "http://127.0.0.1:8081/"]


def test_it_says_no_more_than_it_must(settings_of):
    recipe = Recipe(Schedule(((0, 6),)))
    command = repeat_command(settings_of(DEFAULTS), recipe)
    assert shlex.join(command) == (
        "rateproof test http://127.0.0.1:8081/ --policy '5 per 5s' --schedule '6 at 0 s'"
    )


def test_it_writes_where_what_found_it_wrote(settings_of):
    before = settings_of([*DEFAULTS, "--out", "a folder"])
    assert settings_of(repeat_command(before, RECIPE)[2:]).out == before.out


def test_the_iterations_that_fill_quotas_are_the_same_again(settings_of):
    command = repeat_command(settings_of(["--outer-time", "10m"]), None, iterations=4)
    assert command[command.index("--outer-time") + 1] == "10m"


def test_what_was_a_server_of_our_own_is_one_again(settings_of):
    url = "http://127.0.0.1:8081"
    command = repeat_command(settings_of([url, "--self"]), RECIPE)
    assert command[:3] == ["rateproof", "test", f"{url}/"]
    assert "--self" in command
    assert "--self" not in repeat_command(settings_of([url]), RECIPE)


def test_keys_are_told_by_their_file_and_never_again_as_fresh(settings_of, tmp_path):
    (tmp_path / "keys.txt").write_text("s3cret")
    settings = settings_of([*DEFAULTS, "--keys", str(tmp_path / "keys.txt"), "--fresh-keys"])
    command = repeat_command(settings, RECIPE)
    assert command[command.index("--keys") + 1] == str(tmp_path / "keys.txt")
    assert "--fresh-keys" not in command
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("name", ["AUTHORIZATION", "Cookie", "X-Token", "Accept-Token", "Referer"])
def test_a_secret_is_left_to_whoever_repeats_it(settings_of, name):
    settings = settings_of([*DEFAULTS, "--header", f"{name}: Bearer s3cret"])
    found = Reproduction("crash", RECIPE, Tries(6, 6), None, repeat_command(settings, RECIPE))
    for told in (found.repeat, found.describe(), json.dumps(found.to_json())):
        assert "s3cret" not in told
        assert f"--header '{name}: [not shown]'" in told


@pytest.mark.parametrize(
    "words",
    [
        ["--header", "X-Token: s3cret"],
        ["--header=X-Token: s3cret"],
        ["-H", "X-Token: s3cret"],
        ["-HX-Token: s3cret"],
        ["-kHX-Token: s3cret"],
        ["-kH", "X-Token: s3cret"],
        ["-H=X-Token: s3cret"],
        ["--header", "X-Token:s3cret", "--header", "authorization:\ts3cret"],
        ["--hea", "X-Token: s3cret"],
        ["--heade=X-Token: s3cret"],
        ["--header", "Bearer s3cret"],
        ["--query", "key=s3cret"],
        ["--query=key=s3cret"],
        ["--q", "s3cret"],
    ],
)
def test_what_was_typed_is_shown_without_its_secrets(words):
    shown = command_line(["rateproof", "test", *words, "--data", "as typed"])
    assert "s3cret" not in shown
    assert "[not shown]" in shown
    assert shown.endswith("--data 'as typed'")


def test_headers_that_never_hold_a_secret_are_shown_as_they_were_typed():
    words = [
        "test",
        "--header",
        "Accept: text/*",
        "--header=User-Agent:me",
        "-HAccept:*/*",
        "-HX-Token: @env:TOKEN",
        "--header",
        "@headers.txt",
        "--query=key=@key.txt",
        "--query",
        "key=@env:KEY",
        "--help",
    ]
    assert command_line(words) == shlex.join(words)


def test_a_word_that_is_no_text_is_escaped_for_any_file_to_hold():
    assert command_line(["--data", "\udcff\udcfe"]).encode() == rb"--data '\udcff\udcfe'"


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a\0b", b"@hello", b'{"a": "\n"}'])
def test_a_body_from_a_file_is_repeated_from_there(settings_of, tmp_path, body):
    file = tmp_path / "body"
    file.write_bytes(body)
    words = repeat_command(settings_of([*DEFAULTS, "--data", f"@{file}"]), RECIPE)
    assert words[words.index("--data") + 1] == f"@{file}"
    assert settings_of(words[2:]).body == body


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a\0b", b"@hello"])
def test_a_body_that_no_word_can_be_is_told_by_its_length(settings_of, body):
    settings = replace(settings_of(DEFAULTS), data=Data(body))
    words = repeat_command(settings, RECIPE)
    assert words[words.index("--data") + 1] == f"[not shown: {len(body)} bytes]"


@pytest.mark.parametrize(
    ("tries", "complete", "words"),
    [
        (Tries(6, 6), True, "over-admission with 6 of 6 fresh clients\n"),
        (Tries(4, 6), False, "4 of 6 fresh clients; the smallest found in the time there was\n"),
        (Tries(1, 6), False, "1 of 6 fresh clients: it does not reliably happen again\n"),
        (Tries(0, 6), None, "0 of 6 fresh clients\n"),
    ],
)
def test_how_often_it_happened_is_said(tries, complete, words):
    found = Reproduction("over-admission", RECIPE, tries, complete, ["rateproof", "test", "a b"])
    assert words in found.describe()
    assert found.describe().endswith("repeat    rateproof test 'a b'")
    assert found.to_json()["reproduced"] == tries.reproduced
    assert found.to_json()["schedule"] == "1 at 0 s, 2 at 1 s"
