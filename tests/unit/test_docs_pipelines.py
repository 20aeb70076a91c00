"""The recipes for pipelines: they parse, their commands are ours, and they keep what is written."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from rateproof import cli, errors
from rateproof.options.arguments import parse

PAGE = Path(__file__).parents[2] / "docs" / "hunt" / "pipelines.md"
TEXT = PAGE.read_text()


def blocks(language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return [text for named, text in fenced if named == language]


def commands():
    """Every command of ours on the page, by where it stands."""
    plain = "".join(blocks("")).replace("\\\n", " ").splitlines()
    for line in [*plain, *scripts()]:
        if line.startswith("rateproof "):
            yield line.partition(" |")[0]


def scripts():
    github, gitlab = map(yaml.safe_load, blocks("yaml"))
    for job in github["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)
    for job in gitlab.values():
        yield from job["script"]


def test_there_are_commands_to_look_at():
    assert len(list(commands())) >= 4


@pytest.mark.parametrize("command", list(commands()))
def test_each_command_is_one_that_we_accept(command):
    arguments = parse(shlex.split(command)[1:])
    assert arguments.command == "test"
    assert arguments.duration_ns or arguments.iterations, "a job must end"


def test_github_keeps_the_results_whatever_comes_of_the_test():
    recipe = yaml.safe_load(blocks("yaml")[0])
    assert recipe[True] == ["push", "pull_request"]  # YAML 1.1 takes `on` for true
    (job,) = recipe["jobs"].values()
    (run,) = [s["run"] for s in job["steps"] if s.get("run", "").startswith("rateproof")]
    (keep,) = [s for s in job["steps"] if s.get("uses", "").startswith("actions/upload-artifact@")]
    arguments = parse(shlex.split(run)[1:])
    assert keep["if"] == "always()"
    assert keep["with"]["path"] == str(arguments.out)
    assert arguments.junit.is_relative_to(arguments.out)
    assert job["timeout-minutes"] * 60e9 > 2 * arguments.duration_ns


def test_gitlab_reads_the_file_that_is_written():
    (job,) = yaml.safe_load(blocks("yaml")[1]).values()
    (run,) = [line for line in job["script"] if line.startswith("rateproof")]
    arguments = parse(shlex.split(run)[1:])
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == str(arguments.junit)
    assert job["artifacts"]["paths"] == [str(arguments.out)]


def test_the_exit_codes_are_all_of_ours():
    named = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)}
    raised = {getattr(errors, name).exit_code for name in errors.__all__}
    assert named == raised | {0, 1, 2, cli.INTERNAL_ERROR, cli.INTERRUPTED}


@pytest.mark.parametrize("command", sorted(cli.COMMANDS.keys() - {"completion"}))
def test_every_command_gives_json_and_the_page_says_what(command):
    needed = {"check": ["log.jsonl"], "store": ["ls"]}.get(command, [])
    arguments = parse([command, *needed, "--json"])
    told = arguments.sources.read() if command == "serve" else vars(arguments)
    assert told["json"] is True
    assert re.search(rf"^\| `{command} --json` \|", TEXT, re.MULTILINE)
