"""A real Envoy asks the service: its recipe, and what `rateproof test` says of limits behind it."""

import os
import subprocess
import sys
import threading

import pytest

from rateproof.enforce.stores import remove
from tests import envoy
from tests.gateways import ROOT, check_that_it_limits, front
from tests.service import Service

RULES = """
domain: shop
descriptors:
- key: client
  rate_limit: {unit: second, requests_per_unit: 5}
"""
CONSISTENT, VIOLATED = 0, 1

pytestmark = pytest.mark.slow


def test_the_recipe_of_the_rate_limit_filter(tmp_path, unused_port):
    rules = ROOT / "examples/gateways/ratelimit.yaml"
    lines = ('rls = "127.0.0.1:0"', f'rls_config = "{rules}"')
    with front(tmp_path, unused_port(), *lines) as it:
        recipe = it.recipe("envoy-ratelimit.yaml")
        with envoy.running(tmp_path, configuration=recipe) as process:
            it.until_ready(process)
            check_that_it_limits(it)


@pytest.fixture
def verdicts(tmp_path, unused_port):
    """Judge the limit behind Envoy, until it is judged as wanted or three times: the exit codes.

    Every `kills` seconds the service is killed, and started again `away` seconds later.
    """
    name, port = f"envoy-{os.getpid()}", unused_port()
    (tmp_path / "rules.yaml").write_text(RULES)

    def start():
        rules = str(tmp_path / "rules.yaml")
        words = ("--rls", f"127.0.0.1:{port}", "--rls-config", rules, "--store", f"shm://{name}")
        return Service(tmp_path, "", *words)

    def judge(wanted, *words, deny, kills=None, away=0):
        found, over = [], threading.Event()
        service = start()

        def kill():
            nonlocal service
            while kills and not over.wait(kills):
                service.process.kill()
                service.stop()
                over.wait(away)
                service = start()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with envoy.limited(tmp_path, unused_port, port, deny=deny) as url:
                command = [sys.executable, "-m", "rateproof", "test", url, "--policy", "5 per 1s"]
                command += ["--duration", "12s", "--yes", *words]
                while wanted not in found and len(found) < 3:
                    found.append(subprocess.run(command, cwd=tmp_path, check=False).returncode)
        finally:
            over.set()
            killer.join()
            service.process.kill()
            service.stop()
        return found

    yield judge
    remove(name)


@pytest.mark.alone
def test_the_limit_behind_envoy_is_consistent(verdicts):
    found = verdicts(CONSISTENT, deny=True)
    assert VIOLATED not in found
    assert found[-1] == CONSISTENT


@pytest.mark.alone
def test_no_more_pass_when_the_service_is_killed_and_envoy_denies_meanwhile(verdicts):
    """It says so with 429: of a 503 unlike other rejections, or its own 500, nobody knows what became of the request."""
    found = verdicts(CONSISTENT, "--claim", "over-admission", deny=True, kills=3)
    assert VIOLATED not in found
    assert found[-1] == CONSISTENT


@pytest.mark.alone
def test_more_pass_when_the_service_is_killed_and_envoy_does_not_deny(verdicts):
    assert verdicts(VIOLATED, deny=False, kills=1, away=0.3)[-1] == VIOLATED
