"""Header fields of real limiters are held against what then happens, over real sockets."""

import subprocess

import pytest

from rateproof.policy import Policy
from rateproof.prove import CLAIMS, HEADERS, VIOLATED, judge
from rateproof.simulate import transports
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.control import Control
from rateproof.simulate.programs.arrivals import Uniform
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target

MS = 1_000_000
FLASK_LIMITER = """
import sys
from flask import Flask, request
from flask_limiter import Limiter
from werkzeug.serving import make_server

app = Flask(__name__)
limiter = Limiter(
    lambda: request.args["clientId"], app=app, strategy=sys.argv[2], storage_uri="memory://",
    headers_enabled=True,
)

@app.get("/")
@limiter.limit("3 per 2 seconds")
def root():
    return "hello"

make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True).serve_forever()
"""


def pressed(port, duration_ns=5_000 * MS):
    """Some clients wait as they are told, others ask all the time; 20 ms between answers."""
    scenario = Scenario(
        target=Target.parse(f"http://127.0.0.1:{port}/"),
        groups=(
            Group(Polite(Uniform(1 * MS, 40 * MS)), 6),
            Group(Constant(30 * MS), 2),
        ),
        seed=1,
        duration_ns=duration_ns,
    )
    log = transports.named(transports.default_name())(scenario, control=Control())
    log.metadata["fresh_keys"] = True
    return log


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "policy",
    ["3 per 2s", "fixed-window 3 per 2s", slow("3 per 2s; 5 per 3s"),
     slow("token-bucket 2 per 2s burst 3"), slow("first-hit-window 3 per 2s"),
     slow("sliding-counter 3 per 2s"), slow("sliding-blocks 3 per 2s blocks 4")],
)  # fmt: skip
def test_the_fields_of_our_server_come_true(start, policy):
    server = start("native core, granian", "--policy", policy, "--workers", 2)
    verdict = judge(pressed(server.port), Policy.parse(policy), claims=CLAIMS | {HEADERS})
    assert verdict.headers.broken == 0, verdict.headers.findings
    assert sum(verdict.headers.judged) > 10, verdict.headers
    assert verdict.outcome != VIOLATED, verdict.describe()


@pytest.mark.parametrize(
    "strategy", ["fixed-window", slow("moving-window"), slow("sliding-window-counter")]
)
def test_flask_limiter_says_whole_seconds_rounded_down_and_is_found_out(
    strategy, spawn, wait_for_port, free_port, tmp_path
):
    program = tmp_path / "limited.py"
    program.write_text(FLASK_LIMITER, encoding="utf-8")
    # Its access log would fill a pipe that nobody reads, and stop it.
    wait_for_port(free_port, spawn(program, free_port, strategy, stderr=subprocess.DEVNULL))
    verdict = judge(pressed(free_port), Policy.parse("3 per 2s"), claims=frozenset({HEADERS}))
    assert verdict.outcome == VIOLATED
    assert "retry-after-too-short" in {finding.rule for finding in verdict.headers.findings}
