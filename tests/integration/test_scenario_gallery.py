"""Claims about examples/scenarios: each is explained, accepted by schema and loader, and runs."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import jsonschema
import pytest

from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.simulate.control import Control
from rateproof.simulate.scenario_file import load
from rateproof.simulate.transports import default_name, named
from tests.samples import quick_first

ROOT = Path(__file__).parents[2]
GALLERY = sorted((ROOT / "examples/scenarios").glob("*.toml"))
RUN = [path for path in GALLERY if load(path).scenario().connection_count <= 1_000]

each = pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)


def test_there_is_a_gallery() -> None:
    assert len(GALLERY) >= 8
    assert len(RUN) >= 7


@each
def test_a_scenario_says_at_its_top_what_it_shows_and_how_to_run_it(path: Path) -> None:
    comment, _, _ = path.read_text().partition("\n\n")
    directive, *lines = comment.splitlines()
    schema_file = path.parent / directive.removeprefix("#:schema ")
    assert schema_file.resolve() == ROOT / "src/rateproof/simulate/scenario.schema.json"
    assert all(line.startswith("#") for line in lines)
    assert f"rateproof simulate --scenario examples/scenarios/{path.name}" in comment


@each
def test_a_scenario_is_accepted_by_the_loader_and_by_the_schema(path: Path) -> None:
    schema = json.loads((ROOT / "src/rateproof/simulate/scenario.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(path.read_text()))
    scenario = load(path).scenario()
    assert scenario.duration_ns is not None
    assert scenario.target.is_loopback
    assert scenario == load(path).scenario(namespace=scenario.namespace)  # the seed is in it


@pytest.mark.parametrize("path", quick_first(RUN, 2), ids=lambda path: path.stem)
def test_a_scenario_runs_against_our_server(
    path: Path,
    spawn: Callable[..., Popen[str]],
    free_port: int,
    wait_for_port: Callable[..., None],
) -> None:
    """Shortened to a second; every answer is a 200 or a 503 of the limiter."""
    process = spawn("server.py", "--port", free_port, "--workers", 1)
    wait_for_port(free_port, process)
    scenario = load(path).scenario(
        url=f"http://127.0.0.1:{free_port}/", duration_ns=10**9, timeout_ns=30 * 10**9
    )
    log = named(default_name())(scenario, control=Control())
    if path.stem not in {"boundary-attack", "login-brute-force"}:  # may wait longer than that
        assert len(log) > 0
    assert {event.status for event in log} <= {200, 503}
    log.metadata["fresh_keys"] = True
    policy = scenario.policy or Policy.parse("5 per 5s")
    assert judge(log, policy).outcome != "violated"
