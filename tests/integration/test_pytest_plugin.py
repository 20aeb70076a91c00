"""The pytest plugin against real servers, and as its users meet it: in a pytest of its own."""

import itertools
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict

import flask
import pytest
from flask_limiter import Limiter

from rateproof.errors import InvalidArgument, InvalidPolicy, Unreachable

KEY = "header:X-Api-Key"

USERS = """
import flask
from flask_limiter import Limiter

def login(strategy):
    app = flask.Flask("shop")
    by_key = Limiter(lambda: flask.request.headers["X-Api-Key"], app=app, strategy=strategy, storage_uri="memory://")
    app.post("/login")(by_key.limit("5 per second")(lambda: "welcome"))
    return app

def test_login_is_limited(rateproof):
    url = rateproof.serve(login("fixed-window"))
    rateproof.assert_holds(
        f"{url}/login", "5 per 1s", key="header:X-Api-Key", method="POST",
        shrink_time="5s", worst_time="0s",
    )
"""


def limited(strategy="moving-window", route="/", **options):
    app = flask.Flask("test")
    by_key = Limiter(
        lambda: flask.request.headers["X-Api-Key"],
        app=app,
        strategy=strategy,
        storage_uri="memory://",
    )
    app.route(route, **options)(by_key.limit("5 per second")(lambda: "welcome"))
    return app


@pytest.fixture
def users_pytest(spawn, tmp_path):
    """Run pytest on what a user has written."""

    def run(text, *arguments):
        (tmp_path / "test_shop.py").write_text(text)
        options = ["-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'temp'}", *arguments]
        return spawn("-m", "pytest", *options, cwd=tmp_path)

    return run


def test_a_limit_that_leaks_fails_with_evidence_schedule_and_command(users_pytest, tmp_path):
    output, errors = users_pytest(USERS).communicate(timeout=280)
    assert "1 failed" in output, output + errors
    said = [line.removeprefix("E").strip() for line in output.splitlines() if line[:1] == "E"]
    assert "/login: VIOLATED: " in said[0]
    assert "in less than 1 s, the policy allows 5" in said[1]
    assert any(line.startswith("window") for line in said)
    assert any(line.startswith("schedule ") for line in said)
    (repeat,) = [line for line in said if line.startswith("repeat ")]
    for words in ("rateproof test http://127.0.0.1:", "'5 per 1s'", KEY, "--method POST"):
        assert words in repeat
    (log,) = [line.split()[1] for line in said if line.startswith("log ")]
    assert (tmp_path / "temp") in [*(type(tmp_path)(log)).parents]
    assert type(tmp_path)(log).is_file()
    assert "rateproof/testing" not in output, "the traceback ends in the user's own line"


def test_a_limit_that_holds_passes_and_returns_its_verdict(rateproof):
    url = rateproof.serve(limited(route="/login", methods=["POST"]))
    verdict = rateproof.assert_holds(
        f"{url}/login",
        "5 per 1s",
        key=KEY,
        method="POST",
        body="{}",
        headers={"Accept": "*/*"},
    )
    assert verdict.outcome == "consistent"
    assert verdict.pressure[0].stressed


def test_a_limit_that_rejects_by_another_status_holds_where_that_is_said(rateproof, scripted):
    lock, times = threading.Lock(), defaultdict(list)

    def script(connection, head):
        client = re.search(rb"clientId=([^ &]+)", head)[1]
        with lock:
            now = time.monotonic()
            live = times[client] = [stamp for stamp in times[client] if stamp > now - 1]
            said = b"403 Forbidden" if len(live) >= 5 else b"200 OK"
            if len(live) < 5:
                live.append(now)
        connection.sendall(b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\n\r\n")

    url, brief = scripted(script).target().url, {"iterations": 2, "allow_untested": True}
    assert rateproof.assert_holds(url, "5 per 1s", **brief, rejected=[403]).counts.rejected


@pytest.mark.slow
def test_our_own_server_holds(rateproof, spawn, free_port, wait_for_port):
    policy = "5 per 1s"
    server = spawn("server.py", "--port", free_port, "--policy", policy, "--workers", 2)
    wait_for_port(free_port, server)
    verdict = rateproof.assert_holds(f"http://127.0.0.1:{free_port}/", policy)
    assert verdict.outcome == "consistent"


def test_what_cannot_be_told_fails_unless_that_is_allowed(rateproof):
    app = flask.Flask("locked")
    app.route("/")(lambda: ("who are you?", 401))
    url, options = rateproof.serve(app), {"iterations": 1, "duration": "2s"}
    with pytest.raises(AssertionError, match=r"(INCONCLUSIVE|NOT TESTED): "):
        rateproof.assert_holds(url, "5 per 1s", **options)
    verdict = rateproof.assert_holds(url, "5 per 1s", allow_inconclusive=True, **options)
    assert verdict.outcome == "inconclusive"


@pytest.mark.parametrize("status", [500, 429])
def test_where_nothing_was_admitted_nothing_was_tested(rateproof, status):
    app = flask.Flask("down")
    app.route("/")(lambda: ("", status))
    options = {"iterations": 1, "duration": "2s", "allow_inconclusive": True}
    with pytest.raises(AssertionError, match="every answer was"):
        rateproof.assert_holds(rateproof.serve(app), "5 per 1s", **options)


@pytest.mark.alone  # a window that is to be full needs the processor
def test_a_quota_that_was_not_tested_fails_by_its_name_unless_that_is_allowed(rateproof, scripted):
    times = defaultdict(list)

    def script(connection, head):
        name, now = head.split()[1], time.monotonic()
        live = [at for at in times[name] if at > now - 1]
        full = len(live) >= 5 or len(times[name]) >= 20
        if not full:
            times[name].append(now)
        said = b"429 Too Many Requests" if full else b"200 OK"
        connection.sendall(b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\n\r\n")

    url, policy = scripted(script).target().url, "5 per 1s; 20 per 1h"
    short = {"iterations": 1, "outer_time": "1s"}
    with pytest.raises(AssertionError, match="NOT TESTED: 20 per hour"):
        rateproof.assert_holds(url, policy, **short)
    rateproof.assert_holds(url, policy, allow_untested=True, **short)
    verdict = rateproof.assert_holds(url, policy, iterations=1, allow_untested=True)
    assert [quota.outcome for quota in verdict.quotas] == ["consistent"] * 2


@pytest.mark.parametrize("admitted", [[], [401]])
def test_client_errors_are_admissions_only_where_that_is_said(rateproof, admitted):
    app = limited(route="/login", methods=["POST"])
    app.after_request(
        lambda answer: flask.Response(status=401) if answer.status_code == 200 else answer
    )
    options = {"admitted": admitted} if admitted else {}
    url, length = f"{rateproof.serve(app)}/login", {"iterations": 1, "duration": "4s"}
    verdict = rateproof.assert_holds(
        url, "5 per 1s", key=KEY, method="POST", allow_inconclusive=True, **length, **options
    )
    assert ("it asks for credentials" in " ".join(verdict.reasons)) != bool(admitted)
    assert verdict.outcome in ({"consistent", "inconclusive"} if admitted else {"inconclusive"})


def test_a_server_that_breaks_connections_fails_as_crashed(rateproof, scripted):
    answered = itertools.count()

    def script(connection, _head):
        if next(answered) >= 5:
            return "end"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return None

    server = scripted(script)
    with pytest.raises(AssertionError, match="the server crashed"):
        rateproof.assert_holds(
            server.target().url, iterations=1, duration="1500ms", allow_inconclusive=True
        )


def test_mistakes_are_told_before_anything_is_sent(rateproof, unused_port):
    url = f"http://127.0.0.1:{unused_port()}/"
    with pytest.raises(Unreachable, match=r"\(start the server first\)"):
        rateproof.assert_holds(url)
    with pytest.raises(InvalidPolicy):
        rateproof.assert_holds(url, "5 per fortnight")
    with pytest.raises(InvalidArgument, match="claim: 'both'"):
        rateproof.assert_holds(url, claim="both")
    with pytest.raises(InvalidArgument, match="at least one of them"):
        rateproof.assert_holds(url, iterations=None)
    for wrong in ({"iterations": 0}, {"max_rate": -1}, {"method": "get it"}, {"timeout": "soon"}):
        with pytest.raises(InvalidArgument):
            rateproof.assert_holds(url, **wrong)
    for rejected in ([], 403, "403", [99], ["403"], [[403]], [403.0]):
        with pytest.raises(InvalidArgument, match="rejected"):
            rateproof.assert_holds(url, rejected=rejected)
    with pytest.raises(TypeError, match=r"no option 'polcy'.*it has key, keys, query, claim"):
        rateproof.assert_holds(url, polcy="5 per 5s")
    with pytest.raises(InvalidArgument, match="not this machine"):
        rateproof.assert_holds("http://192.0.2.1/")


def test_an_interrupt_ends_pytest_and_not_only_the_iteration(users_pytest):
    process = users_pytest(USERS.replace("fixed-window", "moving-window"), "-s")
    while "iteration 1" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 2, output
    assert "KeyboardInterrupt" in output


def test_having_the_plugin_costs_pytest_nothing_until_it_is_used():
    loaded = (
        "import sys, pytest; before = set(sys.modules); import rateproof.testing;"
        "print(*sorted(set(sys.modules) - before))"
    )
    output = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["rateproof", "rateproof.testing", "rateproof.testing.plugin"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 10},
        {"policy": 5},
        {"key": 5},
        {"headers": ["x"]},
        {"body": 5},
        {"claim": []},
        {"duration": 5},
        {"yes": 1},
        {"tolerance_ppm": -1},
        {"tolerance_ppm": "500"},
        {"seed": -1},
        {"max_rate": "5"},
    ],
    ids=str,
)
def test_a_value_of_another_kind_is_refused_by_its_name(rateproof, unused_port, wrong):
    (name,) = wrong
    with pytest.raises(InvalidArgument, match=f"^{name}( is|:) ") as refused:
        rateproof.assert_holds(f"http://127.0.0.1:{unused_port()}/", **wrong)
    assert refused.value.hint


def test_nobody_is_asked_at_the_terminal(rateproof, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("rateproof.simulate.consent.ask", lambda _: pytest.fail("asked"))
    with pytest.raises(InvalidArgument, match=r"192\.0\.2\.1 is not this machine \(yes=True"):
        rateproof.assert_holds("http://192.0.2.1/")


MISTAKES = {
    "": "rateproof.errors.Unreachable: nothing listens at http://127.0.0.1:",
    ", body='\\ud800'": "rateproof.errors.InvalidArgument: body: text that UTF-8",
    ", timeout='soon'": "rateproof.errors.InvalidArgument: timeout: 'soon' is not a duration",
    ", header='x'": "TypeError: the fixture has no option 'header'",
}


def test_a_mistake_is_told_in_the_users_own_line_and_tells_no_secret(users_pytest, unused_port):
    url = f"http://127.0.0.1:{unused_port()}/"
    text = "".join(
        f"def test_{number}(rateproof):\n"
        "    rateproof.assert_holds(\n"
        f"        {url!r}, headers={{'X-Token': 's3' + 'cret'}}{mistake})\n"
        for number, mistake in enumerate(MISTAKES)
    )
    output, errors = users_pytest(text).communicate(timeout=280)
    for said in MISTAKES.values():
        assert f"E       {said}" in output, output + errors
    assert "rateproof/testing" not in output
    assert "rateproof/hunt" not in output
    assert "s3cret" not in output + errors
