"""Several endpoints of one settings file in one test, and the exit code of the worst."""

import json
import os
import re
import shlex
import signal
from xml.etree import ElementTree as ET

import flask
import pytest
from flask_limiter import Limiter

from rateproof import cli
from tests.samples import quick_first

pytestmark = pytest.mark.usefixtures("here")

FILE = """
[limits.kept]
policy = "5 per 1s"
key = "header:X-Api-Key|ip"

[limits.broken]
policy = "3 per 1s"
key = "header:X-Api-Key|ip"

[test]
url = "{url}"
method = "POST"
iterations = 1
allow_untested = true
seed = 1
worst_time = "0s"
shrink_time = "2s"
claim = "over-admission"
out = "results"
junit = "results/junit.xml"
timeout = "2s"
"""
ENDPOINT = '\n[[test.endpoints]]\nurl = "{}"\nlimit = "{}"\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RATEPROOF_CONFIG", raising=False)


@pytest.fixture
def shop(rateproof):
    """The URL of an application with one limit of 5 per second on each of its paths."""
    app = flask.Flask("shop")
    by_key = Limiter(
        lambda: flask.request.headers.get("X-Api-Key", ""),
        app=app,
        strategy="moving-window",
        storage_uri="memory://",
    )
    for path in ("kept", "broken"):
        view = by_key.limit("5 per second")(lambda: "welcome")
        app.add_url_rule(f"/{path}", path, view, methods=["POST"])
    return rateproof.serve(app)


def run(folder, url, *endpoints, capsys):
    text = FILE.format(url=url) + "".join(ENDPOINT.format(*each) for each in endpoints)
    (folder / "rateproof.toml").write_text(text)
    code = cli.main(["test"])
    return code, *capsys.readouterr()


def suites(folder):
    root = ET.parse(folder / "results" / "junit.xml").getroot()
    return {
        suite.get("name"): {each.tag for case in suite.iter("testcase") for each in case}
        for suite in root
    }


@pytest.mark.alone
def test_each_endpoint_has_its_verdict_suite_and_section_and_the_worst_is_the_code(
    shop, tmp_path, capsys
):
    both = ("/kept", "kept"), ("/broken", "broken")
    code, out, err = run(tmp_path, shop, *both, capsys=capsys)
    assert code == 1, out + err
    assert err.startswith("settings  rateproof.toml\n")
    kept, broken, worst = out.splitlines()[-3:]
    # On a busy machine bursts may come too spread out.
    as_tried = kept.startswith("endpoint kept: CONSISTENT (as far as tried): ")
    assert as_tried or kept.startswith("endpoint kept: INCONCLUSIVE: ")
    assert broken.startswith("endpoint broken: VIOLATED: ")
    assert worst == "VIOLATED: 1 of 2 endpoints"
    doubts = set() if as_tried else {"error"}
    assert suites(tmp_path) == {"rateproof.kept": doubts, "rateproof.broken": {"failure"}}
    summary = (tmp_path / "results" / "test_summary.txt").read_text()
    assert summary.count("  endpoint ") == 2
    assert summary.endswith(f"{kept}\n{broken}\n{worst}\n\n")
    page = (tmp_path / "results" / "test_report.html").read_text()
    assert re.findall(r'<article class="(\w+)" id="(\w+)">', page) == [
        ("consistent" if as_tried else "inconclusive", "kept"),
        ("violated", "broken"),
    ]
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "ids of a page are its own"
    repeat = shlex.split(re.search(r"^repeat +(.*)$", err, re.MULTILINE)[1])
    words = repeat[repeat.index("test") + 1 :]
    assert words[:2] == ["--endpoint", "broken"]
    assert cli.main(["test", *words]) == 1
    assert "VIOLATED: 4 let through in 1 s, 3 promised" in capsys.readouterr().out


@pytest.mark.parametrize("width", quick_first([40, 200]))
@pytest.mark.alone
def test_an_endpoint_that_is_away_is_69_and_keeps_no_other_from_its_test(
    shop, tmp_path, capsys, free_port, width, monkeypatch
):
    away = f"http://127.0.0.1:{free_port}/away"
    monkeypatch.setattr("rateproof.output.columns", lambda _: width)
    code, out, err = run(tmp_path, shop, (away, "broken"), ("/kept", "kept"), capsys=capsys)
    assert code == 69, out + err
    told = " ".join(out.split())
    assert f"endpoint broken: UNREACHABLE: nothing listens at {away} endpoint kept: CON" in told
    assert told.endswith("UNREACHABLE: 1 of 2 endpoints")
    assert suites(tmp_path) == {"rateproof.broken": {"error"}, "rateproof.kept": set()}
    assert all(len(line) <= width for line in out.splitlines() if " " in line.strip())


def test_what_no_endpoint_could_have_is_refused_before_anything_is_sent(tmp_path, capsys):
    text = FILE.format(url="http://127.0.0.1:1").replace("iterations = 1", "")
    text += ENDPOINT.format("/kept", "kept") + ENDPOINT.format("/broken", "broken")
    (tmp_path / "rateproof.toml").write_text(text)
    assert cli.main(["test"]) == 64
    said = capsys.readouterr().err
    assert "endpoint 'kept' would be tested until stopped, and no other after it" in said
    assert "--iterations" in said
    assert not (tmp_path / "results").exists()


@pytest.mark.alone
def test_ctrl_c_ends_one_in_order_and_those_after_it_do_not_begin(shop, tmp_path, spawn):
    both = ("/kept", "kept"), ("/broken", "broken")
    text = FILE.format(url=shop) + "".join(ENDPOINT.format(*each) for each in both)
    (tmp_path / "rateproof.toml").write_text(text.replace("iterations = 1", "iterations = 1000"))
    process = spawn("-m", "rateproof", "test", "--json", cwd=tmp_path)
    first = json.loads(process.stdout.readline())
    assert (first["type"], first["endpoint"]) == ("iteration", "kept")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 2, output + errors
    last = json.loads(output.splitlines()[-1])
    assert (last["type"], last["exit_code"]) == ("endpoints", 2)
    assert last["answers"]["kept"].startswith(("CONSISTENT", "INCONCLUSIVE"))
    assert last["answers"]["broken"] == "NOT TESTED: stopped before it began"
    assert suites(tmp_path)["rateproof.broken"] == {"error"}
    assert "broken: not begun" in (tmp_path / "results" / "test_report.html").read_text()


@pytest.mark.alone
def test_pytest_reads_the_same_file(spawn, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.rateproof.limits.login]\npolicy = '5 per 1s'\nkey = 'header:X-Api-Key'\n"
        "[tool.rateproof.test]\nstart = 'there is none'\nworst_time = '0s'\n"
        "iterations = 1\nallow_untested = true\n"
        "[[tool.rateproof.test.endpoints]]\nurl = '/login'\nlimit = 'login'\nmethod = 'POST'\n"
    )
    (tmp_path / "test_shop.py").write_text(
        "import flask, pytest\n"
        "from rateproof import Limiter, RateLimitMiddleware\n"
        "def app(policy):\n"
        "    found = flask.Flask('shop')\n"
        "    found.post('/login')(lambda: 'welcome')\n"
        "    found.wsgi_app = RateLimitMiddleware(\n"
        "        found.wsgi_app, Limiter(policy), key='header:X-Api-Key')\n"
        "    return found\n"
        "def test_kept(rateproof):\n"
        "    verdict = rateproof.assert_endpoint('login', rateproof.serve(app('5 per 1s')))\n"
        "    assert verdict.outcome == 'consistent'\n"
        "def test_broken(rateproof):\n"
        "    rateproof.assert_endpoint('login', rateproof.serve(app('9 per 1s')), shrink=False)\n"
        "def test_misspelt(rateproof):\n"
        "    rateproof.assert_endpoint('logn')\n"
    )
    process = spawn("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path, env=os.environ)
    output, errors = process.communicate(timeout=280)
    assert "2 failed, 1 passed" in output, output + errors
    assert "/login: VIOLATED: " in output
    assert re.search(r"repeat +rateproof test http://127.0.0.1:\d+ --endpoint login ", output)
    assert "no endpoint 'logn' in pyproject.toml, [tool.rateproof] (did you mean login?)" in output


@pytest.mark.alone
@pytest.mark.slow
def test_our_own_server_reads_no_file_of_the_project(spawn, tmp_path, free_port):
    (tmp_path / "rateproof.toml").write_text("[serve]\nshadow = true\nstore = 'memory://'\n")
    words = (f"http://127.0.0.1:{free_port}", "--self", "--policy", "5 per 1s", "--iterations", "3")
    process = spawn("-m", "rateproof", "test", *words, cwd=tmp_path)
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, output + errors
