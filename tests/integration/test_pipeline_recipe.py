"""The recipe for GitLab, run as it stands against an application that leaks."""

import os
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

RECIPE = Path(__file__).parents[2] / "examples/pipelines/gitlab.yml"

SHOP = """
import flask
from flask_limiter import Limiter

app = flask.Flask("shop")
by_key = Limiter(lambda: flask.request.headers["X-Api-Key"], app=app, strategy="moving-window", storage_uri="memory://")
app.post("/login")(by_key.limit("5 per 5 seconds")(lambda: "welcome"))
"""


@pytest.mark.slow
def test_gitlabs_recipe_finds_the_leak_of_four_workers_and_tells_gitlab(spawn, tmp_path, free_port):
    (job,) = yaml.safe_load(RECIPE.read_text()).values()
    (command,) = [line for line in job["script"] if line.startswith("rateproof")]
    command = command.replace(":8000", f":{free_port}")
    (tmp_path / "shop.py").write_text(SHOP)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    arguments = shlex.split(command)[1:]
    workers_up_at_once = {"GUNICORN_CMD_ARGS": "--preload"}
    environment = os.environ | {"PATH": path} | workers_up_at_once
    process = spawn("-m", "rateproof", *arguments, cwd=tmp_path, env=environment)
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 1, errors
    cases = ET.parse(tmp_path / job["artifacts"]["reports"]["junit"]).getroot().iter("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    assert [case.get("name").partition(":")[0] for case in failed] == ["over-admission, 5 per 5 s"]
    assert " -m rateproof test http" in failed[0].find("failure").text
    (kept,) = job["artifacts"]["paths"]
    assert (tmp_path / kept / "test_report.html").is_file()
