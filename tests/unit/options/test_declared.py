"""An option that is declared once shows everywhere: help, reference, completion, environment, fixture."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from rateproof import cli
from rateproof.errors import InvalidArgument
from rateproof.options.arguments import parse
from rateproof.options.completion import completion
from rateproof.options.declared import VERBS
from rateproof.options.sources import Sources
from rateproof.testing.options import Options, settings_of, taken

ROOT = Path(__file__).parents[3]
PAIRS = [(verb, option) for verb in VERBS.values() for option in verb.options if not option.hidden]
IDS = [f"{verb.name}-{option.name}" for verb, option in PAIRS]


def help_of(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("verb", "option"), PAIRS, ids=IDS)
def test_every_option_stands_in_the_help_and_on_the_page(verb, option, capsys):
    told = help_of(verb.name, capsys)
    page = (ROOT / f"docs/reference/{verb.name}.md").read_text()
    for text in (told, page):
        assert option.flag in text
        assert not option.short or f"-{option.short}" in text
    assert " ".join(option.help.split()) in re.sub(r"-\n +", "-", told).replace("\n", " ").replace(
        "  ", ""
    ) or " ".join(told.split()).count(option.help.split()[0])


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_groups_two_examples_and_a_link_to_its_page(verb, capsys):
    told = help_of(verb, capsys)
    for heading in VERBS[verb].groups:
        assert f"\n{heading}:\n" in told
    assert len(re.findall(r"^  rateproof", told, re.MULTILINE)) == 2
    assert f"docs/reference/{verb}.md" in told


@pytest.mark.parametrize(
    "example", [each for verb in VERBS.values() for each in verb.examples], ids=str
)
def test_the_examples_are_accepted(example):
    import shlex

    words = [word for word in shlex.split(example) if not word.startswith(">")]
    assert parse(words).command == words[0]


def test_the_reference_is_what_the_declarations_say():
    """If not, run `python scripts/reference.py`."""
    script = runpy.run_path(str(ROOT / "scripts/reference.py"))
    folder = ROOT / "docs/reference"
    assert {path.name: path.read_text() for path in folder.iterdir()} == script["pages"]()
    assert script["SCHEMA"].read_text() == script["schema_text"]()


@pytest.mark.parametrize("verb", VERBS)
def test_no_two_options_of_a_verb_have_a_name_in_common(verb):
    options = VERBS[verb].options
    for names in (
        [option.name for option in options],
        [option.inside for option in options],
        [option.in_file for option in options],
        [option.short for option in options if option.short],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("verb", VERBS)
def test_every_default_is_a_value_that_would_be_accepted(verb):
    for option in VERBS[verb].options:
        if option.default is not None:
            assert option.value() == option.read_text(option.default, "the declaration")


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"serve", "service"}))
def test_only_what_serves_looks_at_the_environment(verb):
    environment = {f"RATEPROOF_{option.name.upper()}": "7" for option in VERBS[verb].options}
    needed = [option for option in VERBS[verb].options if option.required]
    flags = {option.name: (*option.choices, "log")[0] for option in needed}
    sources = Sources(VERBS[verb], flags, environment)
    assert sources.read() == Sources(VERBS[verb], flags).read()
    assert (sources.file, sources.warning) == (None, None)


@pytest.mark.parametrize(
    "argv",
    [["test", "--nope"], ["check", "log", "-z"], ["simulate", "a", "b"], ["serve", "--colour=1"]],
)
def test_what_no_verb_has_hints_at_the_help_as_it_was_started(argv):
    with pytest.raises(InvalidArgument) as refused:
        parse(argv)
    assert refused.value.hint == f"rateproof {argv[0]} --help"
    with pytest.raises(InvalidArgument) as refused:
        parse(argv, "program.py")
    assert refused.value.hint == "python program.py --help"


def test_a_short_flag_is_its_long_one():
    words = ("-X", "PUT", "-H", "A: b", "-HC: d", "-d", "x", "-k", "-o", "there")
    long = ("--method=PUT", "--header=A: b", "--header=C: d", "--data=x", "--insecure")
    assert parse(["test", *words]) == parse(["test", *long, "--out=there"])
    assert parse(["simulate", "-o", "run.jsonl"]).log == "run.jsonl"


def test_reading_the_command_line_loads_no_room():
    program = (
        "import sys; from rateproof.options.arguments import parse\n"
        "parse(['test', '--policy', '5/s', '--claim', 'all', '-X', 'POST'])\n"
        "print(*sorted({name.split('.')[1] for name in sys.modules if name[:10] == 'rateproof.'}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"simulate", "enforce", "prove", "hunt", "probe", "events"} & set(loaded)


# ------------------------------------------------------------- the fixture


def test_the_fixture_takes_the_options_that_are_declared_for_a_test():
    annotated = set(Options.__annotations__) - {"allow_inconclusive"}
    assert annotated == taken().keys() - {"policy"}


@pytest.mark.parametrize("name", sorted(taken()))
def test_a_value_of_a_wrong_type_is_named_and_not_repeated(name, tmp_path):
    given = {"url": "http://127.0.0.1:1/", "policy": "5/s", "options": {}}
    wrong = type("Secret", (), {"__repr__": lambda _: "s3cret"})()
    (given if name == "policy" else given["options"])[name] = wrong
    with pytest.raises(InvalidArgument, match=f"^{name} is of type Secret") as refused:
        settings_of(given["url"], given["policy"], tmp_path, given["options"])
    assert refused.value.hint == taken()[name].kind.form
    assert "s3cret" not in str(refused.value)


def test_what_is_accepted_but_told_of_nowhere_is_in_no_help(capsys):
    assert "--no-start" not in help_of("test", capsys)
    assert "--no-start" not in (ROOT / "docs/reference/test.md").read_text()
    assert "--no-start" not in completion("bash")


# ------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("verb", VERBS)
def test_completion_names_every_flag_and_every_choice(verb, shell):
    script = completion(shell)
    assert verb in script
    for option in VERBS[verb].options:
        if not (option.positional or option.hidden):
            assert (f"-l {option.flag[2:]}" if shell == "fish" else option.flag) in script
        assert " ".join(option.choices) in script


def completed(*words):
    """Words that bash offers for the last of these."""
    line = " ".join(f"'{word}'" for word in words)
    script = (
        f"{completion('bash')}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}\n"
        '_rateproof; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-u", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_verbs_flags_and_choices():
    assert completed("rateproof", "s") == ["serve", "service", "simulate", "store"]
    assert completed("rateproof", "check", "--gra") == ["--granularity"]
    assert completed("rateproof", "test", "http://h/", "--claim", "w") == ["wrong-rejection"]
    assert completed("rateproof", "serve", "--no-sh") == ["--no-shadow"]
    assert completed("rateproof", "completion", "") == ["bash", "zsh", "fish"]


def test_bash_falls_back_to_files_where_a_value_may_be_one():
    """`-o default` does that where nothing is offered."""
    assert completed("rateproof", "simulate", "-o", "") == []
    assert completed("rateproof", "simulate", "--cacert", "") == []
    assert completed("rateproof", "check", "ru") == []


def test_bash_accepts_what_is_written(tmp_path):
    (tmp_path / "script").write_text(completion("bash"))
    done = subprocess.run(
        ["bash", "-c", f". {tmp_path}/script && complete -p rateproof"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "complete -o default -F _rateproof rateproof"
