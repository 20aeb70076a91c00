"""The recipes for pipelines: they parse, their commands are ours, and they keep what is written."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from rateproof import cli, errors
from rateproof.options.arguments import EXIT_CODES, parse

PAGE = Path(__file__).parents[2] / "docs" / "hunt" / "pipelines.md"
TEXT = PAGE.read_text()
RECIPES = PAGE.parents[2] / "examples/pipelines"
GITHUB, GITLAB, WHEELS = (RECIPES / f"{name}.yml" for name in ("github", "gitlab", "wheels"))


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
    github, gitlab = (yaml.safe_load(file.read_text()) for file in (GITHUB, GITLAB))
    for job in github["jobs"].values():
        yield from (step["run"] for step in job["steps"] if "run" in step)
    for job in gitlab.values():
        yield from job["script"]


@pytest.mark.parametrize(
    ("schema", "recipe"),
    [
        ("vendor.github-workflows", GITHUB.read_text),
        ("vendor.gitlab-ci", GITLAB.read_text),
        ("vendor.github-workflows", WHEELS.read_text),
    ],
    ids=["GitHub", "GitLab", "wheels"],
)
def test_the_recipes_are_what_their_schemas_accept(schema, recipe, tmp_path):
    """The schemas come with the checker: nothing is asked of the network."""
    text = recipe()
    assert not complaints(schema, tmp_path, text)
    spoilt = text.replace("script:", "scrip:").replace("runs-on:", "runs_on:")
    assert complaints(schema, tmp_path, spoilt)


def complaints(schema, folder, text):
    file = folder / "recipe.yml"
    file.write_text(text)
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(file)])
    assert done.exit_code in {0, 1}, done.output
    return done.stdout if done.exit_code else ""


def test_they_install_a_wheel_that_the_user_names_and_keep_what_pip_downloads():
    github, gitlab = (yaml.safe_load(file.read_text()) for file in (GITHUB, GITLAB))
    (job,), (other,) = github["jobs"].values(), gitlab.values()
    installs = [line for line in scripts() if line.startswith("pip ")]
    assert len(installs) == 2
    for install in installs:
        assert '"$RATEPROOF_WHEEL" "rateproof[load,report]"' in install
    assert "RATEPROOF_WHEEL" in github["env"]
    assert "RATEPROOF_WHEEL" in other["variables"]
    assert [s["with"]["cache"] for s in job["steps"] if "setup-python" in s.get("uses", "")] == [
        "pip"
    ]
    assert other["variables"]["PIP_CACHE_DIR"].endswith(other["cache"]["paths"][0])


def test_what_nobody_has_run_says_so():
    assert "Nobody has run them" in TEXT
    assert "that nobody\nhas run" in TEXT
    assert WHEELS.read_text().startswith("# NOT RUN")


def test_there_are_commands_to_look_at():
    assert len(list(commands())) >= 3


@pytest.mark.parametrize("command", list(commands()))
def test_each_command_is_one_that_we_accept(command):
    arguments = parse(shlex.split(command)[1:])
    assert arguments.command == "test"
    assert arguments.duration_ns or arguments.iterations, "a job must end"


def test_github_keeps_the_results_whatever_comes_of_the_test():
    recipe = yaml.safe_load(GITHUB.read_text())
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
    (job,) = yaml.safe_load(GITLAB.read_text()).values()
    (run,) = [line for line in job["script"] if line.startswith("rateproof")]
    arguments = parse(shlex.split(run)[1:])
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == str(arguments.junit)
    assert job["artifacts"]["paths"] == [str(arguments.out)]


def test_the_exit_codes_are_all_of_ours():
    named = {int(code) for code in re.findall(r"\d+", EXIT_CODES)}
    raised = {getattr(errors, name).exit_code for name in errors.__all__}
    assert named == raised | {0, 1, 2, cli.INTERNAL_ERROR, cli.INTERRUPTED}


@pytest.mark.parametrize("command", sorted(cli.COMMANDS.keys() - {"completion"}))
def test_every_command_gives_json_and_the_page_says_what(command):
    needed = {"check": ["log.jsonl"], "plan": ["access.log"], "store": ["ls"]}.get(command, [])
    arguments = parse([command, *needed, "--json"])
    told = arguments.sources.read() if "sources" in arguments else vars(arguments)
    assert told["json"] is True
    assert re.search(rf"^\| .*`{command} --json`.* \|", TEXT, re.MULTILINE)
