"""A limiter that says no by 403, or by 509: judged rightly where that is said, never consistent where not."""

import json
import re
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest

from rateproof import Limiter, cli
from rateproof.testing.serving import served
from tests.samples import quick_first

LIMIT = 5


@contextmanager
def rejecting_by(status, window="1s"):
    """A server on the loopback that admits 5 in any window of each client; yields its URL."""
    with Limiter(f"{LIMIT} per {window}") as limiter:

        def app(environ, start_response):
            (client,) = parse_qs(environ["QUERY_STRING"])["clientId"]
            code = 200 if limiter.hit(client).admitted else status
            start_response(f"{code} Answer", [("Content-Length", "0")])
            return [b""]

        with served(app) as url:
            yield f"{url}/"


@pytest.fixture
def run(spawn, tmp_path):
    """The exit code and what a command of ours writes on both streams."""

    def run(command, url, *options):
        out = ("--out", tmp_path) if command == "test" else ()
        process = spawn("-m", "rateproof", command, url, *options, *out)
        output, errors = process.communicate(timeout=200)
        return process.returncode, output, " ".join(errors.split())

    return run


def schedule(policy, steps):
    return ("--policy", policy, "--seed", 1, "--schedule", steps)


@pytest.mark.parametrize("status", quick_first([403, 509]))
def test_a_limiter_that_rejects_by_another_status_is_consistent_only_where_that_is_said(
    run, tmp_path, status
):
    steps = schedule("5 per 4s", "5 at 0s, 3 at 0.4s")
    with rejecting_by(status, "4s") as url:
        code, output, errors = run("test", url, *steps, "--json")
        assert code == 2, errors
        assert json.loads(output.splitlines()[0])["verdict"]["diagnosis"] == ["other-status"]
        assert f"taken for a rejection: --rejected {status}" in errors
        code, _, errors = run("test", url, *steps, "--rejected", status)
        assert code == 0, errors
    for log in tmp_path.glob("test_log_*.parquet"):
        options = ("--policy", "5 per 4s", "--rejected", str(status))
        assert cli.main(["check", str(log), *options]) == 0


@pytest.mark.slow
def test_what_the_hunt_draws_finds_nothing_against_it(run):
    options = ("--policy", "5 per 1s", "--seed", 1, "--iterations", 3)
    with rejecting_by(403) as url:
        code, _, errors = run("test", url, *options, "--rejected", "403")
    assert code == 0, errors


def test_a_violation_is_repeated_with_the_statuses(run):
    with rejecting_by(403) as url:
        code, _, errors = run(
            "test", url, *schedule("4 per 1s", "6 at 0s"), "--rejected", "429,403"
        )
    assert code == 1, errors
    assert " --rejected 403,429 --schedule '6 at 0 s'" in errors


def test_a_stricter_limiter_is_not_called_too_generous_without_a_word(run):
    with rejecting_by(403) as url:
        code, _, errors = run("test", url, *schedule("8 per 1s", "9 at 0s"))
    assert code == 1
    assert "this takes 403 for admitted; if the target rejects by 403: --rejected 403" in errors


@pytest.mark.slow
@pytest.mark.alone
def test_the_probe_names_the_limit_where_the_status_is_said(run):
    with rejecting_by(403) as url:
        code, output, errors = run("probe", url, "--rejected", "403")
        assert code in {0, 2}, errors  # a busy machine may not know the window closely enough
        assert "5 per " in output.partition("\n")[0], output
        assert not re.search(r"\b403\b", output), output
        code, output, _ = run("probe", url, "--max-requests", 40)
        assert code == 2
        assert output.startswith("no limit seen up to 39 admissions of a key")
        assert "if the target rejects by 403: --rejected 403" in output


def test_simulate_counts_as_rejected_what_the_flag_names_and_not_what_the_file_does(run, tmp_path):
    file = tmp_path / "scenario.toml"
    file.write_text("rejected = [429]\n[[clients]]\nbehaviour = 'saturate'\n")
    options = ("--scenario", file, "--duration", "1s", "--json", "--rejected", "403")
    with rejecting_by(403, "1h") as url:
        code, output, errors = run("simulate", url, *options)
    assert code == 0, errors
    outcomes = json.loads(output)["outcomes"]
    assert outcomes["admitted"] == 5
    assert outcomes["rejected"] > 0
    assert outcomes["unknown"] == 0
