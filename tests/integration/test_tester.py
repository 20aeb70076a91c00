"""The tester: records everything, judges from outside, and survives what it tests."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rateproof import cli
from rateproof.events import open_log_writer, read_log
from tests.samples import quick_first

SUMMARY = "test_summary.txt"
QUICK = ("--policy", "5 per 1s", "--seed", 1)


@pytest.fixture
def tester(spawn, tmp_path):
    """Start tester.py with its files in a temporary folder."""

    def start(port, *arguments, out=tmp_path):
        url = f"http://127.0.0.1:{port}"
        return spawn("tester.py", url, "--worst-time", "0", "--out", out, *arguments)

    return start


@pytest.fixture
def server(spawn, free_port, wait_for_port):
    """Start server.py on the free port."""

    def start(policy="5 per 1s", workers=1):
        process = spawn("server.py", "--port", free_port, "--policy", policy, "--workers", workers)
        wait_for_port(free_port, process)
        return process

    return start


def wait_for_text(path: Path, text: str, seconds: float = 90) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and text in path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{text!r} is not in {path} after {seconds} s")


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def flask_limiter(spawn, wait_for_port, port, strategy):
    # Its access log would fill a pipe that nobody reads, and stop it.
    app = spawn(
        *("examples/flask_limiter_app.py", "--strategy", strategy, "--port", port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(port, app)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 105))
def test_flask_limiters_fixed_window_is_violated_each_time(
    spawn, wait_for_port, free_port, tmp_path, seed
):
    """Flask-Limiter's default strategy is found out within 60 s, with requests and times."""
    flask_limiter(spawn, wait_for_port, free_port, "fixed-window")
    url = f"http://127.0.0.1:{free_port}"
    process = spawn(
        *("tester.py", url, "--worst-time", "0", "--out", tmp_path, "--seed", seed),
        *("--fail-fast", "--no-shrink", "--json"),
    )
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 1, errors
    *_, iteration, reproduction, totals = map(json.loads, output.splitlines())
    assert totals["verdict"] == "violated"
    number = iteration["iteration"]
    assert f"--seed {seed} --iterations {number}" in reproduction["repeat"]
    evidence = iteration["verdict"]["evidence"][0]
    assert evidence["claim"] == "over-admission"
    assert evidence["seen"] > evidence["allowed"] == 5
    times = [(event["sent_ns"], event["received_ns"]) for event in evidence["events"]]
    assert max(last for _, last in times) - min(first for first, _ in times) < 5_000_000_000
    text = (tmp_path / SUMMARY).read_text()
    assert evidence["sentence"] in " ".join(text.split())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 105))
def test_flask_limiters_moving_window_is_consistent_each_time(
    spawn, wait_for_port, free_port, tmp_path, seed
):
    """The strategy that keeps its promise, in one process, is never called violated."""
    flask_limiter(spawn, wait_for_port, free_port, "moving-window")
    url = f"http://127.0.0.1:{free_port}"
    process = spawn(
        *("tester.py", url, "--worst-time", "0", "--out", tmp_path, "--seed", seed),
        *("--iterations", 3, "--json"),
    )
    output, errors = process.communicate(timeout=280)
    assert json.loads(output.splitlines()[-1])["verdict"] == "consistent", errors
    assert process.returncode == 0, output


def test_our_server_on_two_workers_is_consistent(tester, server, free_port, tmp_path):
    server(workers=2)
    process = tester(free_port, *QUICK, "--iterations", 3)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "verdict   consistent" in output
    text = (tmp_path / SUMMARY).read_text()
    for figure in ("requests", "codes", "errors", "crashes", "p50", "p99", "admitted", "rejected"):
        assert figure in text
    assert "seed    1" in text


def test_a_second_run_of_a_seed_draws_the_same_and_continues_the_file(
    tester, server, free_port, tmp_path
):
    """In the folder that the first has made."""
    server()
    folder = tmp_path / "made" / "here"
    for runs in (1, 2):
        tester(free_port, *QUICK, "--iterations", 1, out=folder).communicate(timeout=200)
        text = (folder / SUMMARY).read_text()
        assert len(re.findall(r"^total of \d+ iterations?$", text, re.MULTILINE)) == runs
    # A slow machine has more than one iteration, which goes by what the first saw.
    sent = r"^iteration 1\b.*?(^  sent      .*?\n)(?!            )"
    drawn = re.findall(sent, text, re.MULTILINE | re.DOTALL)
    assert len(drawn) == 2
    assert drawn[0] == drawn[1]


@pytest.mark.slow
def test_checking_the_log_gives_the_verdict_of_the_run(
    spawn, wait_for_port, free_port, tester, tmp_path
):
    """As it was written, and as JSON lines."""
    flask_limiter(spawn, wait_for_port, free_port, "fixed-window")
    process = tester(free_port, "--seed", 3, "--iterations", 2, "--no-shrink", "--json")
    output, _ = process.communicate(timeout=200)
    lines = map(json.loads, output.splitlines())
    verdict = next(line["verdict"] for line in lines if line.get("iteration") == 2)
    (log,) = tmp_path.glob("test_log_*_000002.parquet")
    read = read_log(log)
    with open_log_writer(log.with_suffix(".jsonl"), read.metadata) as writer:
        writer.write(read)
    for suffix in (".parquet", ".jsonl"):
        path = log.with_suffix(suffix)
        check = spawn("-m", "rateproof", "check", path, "--policy", "5 per 5s", "--json")
        again, errors = check.communicate(timeout=200)
        assert check.returncode == 1, errors
        told = json.loads(again)
        assert told.pop("answer").startswith("VIOLATED: ")
        assert told.pop("warnings") == read.metadata["warnings"]
        assert told == verdict
    assert verdict["outcome"] == "violated"


def test_without_a_server_it_starts_one_and_ends_it(tester, free_port, tmp_path):
    junit = tmp_path / "junit.xml"
    steps = ("--iterations", 1, "--allow-untested", "--junit", junit)
    process = tester(free_port, *QUICK, "--self", *steps)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "a server of our own is started" in errors.splitlines()[0]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", free_port)) != 0, "the child was left running"
    text = (tmp_path / SUMMARY).read_text()
    assert "verdict   consistent" in text
    for report in (SUMMARY, "test_report.html"):
        text = (tmp_path / report).read_text()
        assert "our own server" in text, "nobody must take it for a test of theirs"
    assert '<property name="server" value="our own"' in junit.read_text()


@pytest.mark.parametrize("words", quick_first([[], ["--no-start"]]))
def test_a_url_where_nothing_listens_is_exit_69_and_an_error_in_junit(
    tester, free_port, tmp_path, words
):
    process = tester(free_port, *QUICK, "--junit", tmp_path / "junit.xml", *words)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 69
    assert f"nothing listens at http://127.0.0.1:{free_port}/" in errors
    assert "iteration" not in (tmp_path / SUMMARY).read_text()
    first = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite/testcase")
    assert "nothing listens" in first.find("error").get("message")


def test_our_own_server_is_not_started_beside_another(tester, server, free_port):
    server()
    process = tester(free_port, *QUICK, "--self")
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 69
    assert "something listens at" in errors
    assert "--self" in errors


def test_a_server_of_its_own_that_dies_is_a_crash_and_is_restarted(tester, free_port, tmp_path):
    process = tester(free_port, *QUICK, "--self", "--no-shrink")
    wait_for_text(tmp_path / SUMMARY, "iteration 1")
    time.sleep(0.5)  # into the next, as a rule
    (child,) = children(process.pid)
    os.kill(child, signal.SIGKILL)
    text = wait_for_text(tmp_path / SUMMARY, "killed by signal 9")
    died = text.count("\niteration ")
    text = wait_for_text(tmp_path / SUMMARY, f"\niteration {died + 1}")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 1, errors
    *_, last, after = text.split("\niteration ")[: died + 2]
    assert "killed by signal 9" in last
    assert "server died: 1" in last
    assert "crashes   none" in after
    assert "200:" in after, "the restarted server answers"
    assert "violated" not in text, "a crash loosens nothing"


ENDS = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(0.5)
    sys.exit("ModuleNotFoundError: No module named 'shopp'")
"""


def test_a_server_that_ends_before_it_answered_anything_is_no_crash(tester, free_port, tmp_path):
    """As gunicorn does where there is no such application: it listens, and its workers fail."""
    (tmp_path / "ends.py").write_text(ENDS)
    command = f"{sys.executable} {tmp_path / 'ends.py'} {{port}}"
    process = tester(free_port, *QUICK, "--start", command)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 69, errors
    assert "error: the server exited with code 1 before it answered anything; its" in errors
    assert "last words: ModuleNotFoundError: No module named 'shopp'" in errors
    assert "schedule" not in errors


@pytest.mark.slow
def test_somebody_elses_server_that_dies_is_a_crash_and_the_loop_goes_on(
    tester, server, free_port, tmp_path
):
    theirs = server()
    process = tester(free_port, *QUICK)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("test_log_*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # into the second iteration
    os.killpg(theirs.pid, signal.SIGKILL)
    wait_for_text(tmp_path / SUMMARY, "stopped answering")
    theirs.wait()
    wait_for_text(tmp_path / SUMMARY, "iteration 3")
    server()
    text = wait_for_text(tmp_path / SUMMARY, "iteration 4")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=200)
    assert process.returncode == 1
    assert text.count("server died: 1") == 1, "it died once, and stayed away"
    assert "--self" not in text[text.index("repeat") :].splitlines()[0], "nor is it replaced"
    assert "refused" in text


@pytest.mark.parametrize("number", quick_first([signal.SIGTERM, signal.SIGINT]))
def test_a_signal_stops_it_with_totals(tester, server, free_port, tmp_path, number):
    server()
    process = tester(free_port, *QUICK)
    for line in process.stderr:
        if line.startswith("iteration 1"):
            break
    while not [*tmp_path.glob("test_log_*_000001.*")]:
        time.sleep(0.02)
    time.sleep(0.5)  # the second has begun, and lasts longer
    process.send_signal(number)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 2, errors
    text = (tmp_path / SUMMARY).read_text()
    assert "stopped   after" in text
    assert re.match(r"total of \d+ iterations\n", output)
    totals, _, line = output.strip().rpartition("\n")
    assert line.startswith("NOT TESTED: ")
    assert f"{line}\n{totals}" in text, "the answer is last here and first there"


def test_a_kill_loses_at_most_the_iteration_in_flight_and_leaves_no_server(
    tester, free_port, tmp_path
):
    process = tester(free_port, *QUICK, "--self")
    wait_for_text(tmp_path / SUMMARY, "iteration 2")
    process.kill()
    process.wait()
    text = (tmp_path / SUMMARY).read_text()
    assert text.count("verdict   consistent") == 2
    assert text.endswith("\n\n")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", free_port)) != 0:
                return
        time.sleep(0.1)
    raise AssertionError("its server still listens after a minute")


def test_logs_that_show_nothing_are_dropped_but_for_the_last_three(
    tester, server, free_port, tmp_path
):
    """Of a machine that was too slow for an iteration the log says so, and is kept."""
    server()
    process = tester(free_port, *QUICK, "--iterations", 4, "--json")
    output, _ = process.communicate(timeout=200)
    told = [line for line in map(json.loads, output.splitlines()) if "iteration" in line]
    holding = [line["iteration"] for line in told if line["verdict"]["outcome"] == "consistent"]
    others = {line["iteration"] for line in told} - {*holding}
    kept = sorted(path.name.rpartition("_")[2] for path in tmp_path.glob("test_log_*"))
    assert kept == [f"{number:06}.parquet" for number in sorted({*others, *holding[-3:]})]


def test_an_unwritable_summary_is_said_before_any_load_is_sent(tester, tmp_path):
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def count():
            while True:
                try:
                    connections.append(listener.accept())
                except OSError:
                    return

        thread = threading.Thread(target=count, daemon=True)
        thread.start()
        (tmp_path / "file").touch()
        process = tester(listener.getsockname()[1], out=tmp_path / "file")
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 73
    assert f"cannot write {tmp_path / 'file' / SUMMARY}" in errors
    assert "--out" in errors
    assert connections == []


@pytest.mark.parametrize(
    ("url", "code", "named"),
    [
        ("http://127.0.0.1:1/login", 69, "http://127.0.0.1:1/login"),
        ("ftp://127.0.0.1/", 64, "ftp://127.0.0.1/"),
        ("127.0.0.1:8080", 64, "http://127.0.0.1:8080"),
        ("http://", 64, "http://HOST"),
        ("http://127.0.0.1:99999", 64, "99999"),
        ("http://no.such.host.invalid/", 64, "--yes"),
    ],
)
def test_a_url_that_cannot_be_tested_is_refused(capsys, tmp_path, url, code, named):
    assert cli.main(["test", url, "--out", str(tmp_path), "--iterations", "1"]) == code
    assert named in capsys.readouterr().err


def test_an_unreachable_host_is_said_so(spawn, tmp_path):
    process = spawn(
        *("tester.py", "http://no.such.host.invalid/", "--yes"),
        *("--out", tmp_path, "--iterations", 1),
    )
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 69, errors
    assert "no.such.host.invalid" in errors


def test_a_policy_that_our_server_cannot_count_is_an_argument_error(tester, free_port):
    process = tester(free_port, "--self", "--policy", "70000 per 5s", "--iterations", 1)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 64
    assert "70000" in errors


def test_a_full_disk_exits_73_and_keeps_what_was_written(tester, server, free_port, tmp_path):
    server()
    (tmp_path / SUMMARY).symlink_to("/dev/full")
    _, errors = (process := tester(free_port, *QUICK)).communicate(timeout=200)
    assert process.returncode == 73
    assert SUMMARY in errors
    assert "Traceback" not in errors


def test_a_progress_reader_who_leaves_stops_nothing(tester, server, free_port, tmp_path):
    server()
    process = tester(free_port, *QUICK, "--iterations", 1, "--allow-untested")
    process.stderr.close()
    process.stdout.close()
    assert process.wait(60) == 0
    assert "total of 1 iteration" in (tmp_path / SUMMARY).read_text()


def test_a_second_signal_ends_it_at_once_and_keeps_the_totals(tester, scripted, tmp_path):
    """Though a request that is in flight may take 100 s."""
    silent = scripted(lambda *_: None)
    process = tester(silent.port, *QUICK, "--timeout", "100s")
    silent.wait_for_heads(1)
    process.send_signal(signal.SIGINT)
    while not process.stderr.readline().startswith("stopping: requests in flight are awaited"):
        assert process.poll() is None
    time.sleep(0.6)  # or it is the same signal, sent twice
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=280)
    assert process.returncode == 130
    assert "total of 0 iterations" in (tmp_path / SUMMARY).read_text()


def test_a_server_that_comes_to_close_without_an_answer_has_crashed(tester, tmp_path):
    """A target that never answered may be no HTTP server: tests/integration/test_strange_targets.py."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def close_all_but_the_first():
            answers = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if connection.recv(65_536) and answers:
                    connection.sendall(answers)
                    answers = b""
                connection.close()

        threading.Thread(target=close_all_but_the_first, daemon=True).start()
        port = listener.getsockname()[1]
        process = tester(port, *QUICK, "--iterations", 1, "--max-rate", 100)
        process.communicate(timeout=200)
    assert process.returncode == 1
    assert re.search(r"crashes   .*closed: \d+", (tmp_path / SUMMARY).read_text())


@pytest.mark.parametrize("limit", quick_first(["six", "two-quotas"]))
def test_a_limiter_that_admits_one_more_is_found(
    spawn, wait_for_port, free_port, tester, tmp_path, limit
):
    """One request too many in the shorter window, or a wider window that is not kept at all."""
    serves, claimed = {
        "six": ("6 per 1s", "5 per 1s"),
        "two-quotas": ("5 per 1s", "5 per 1s; 8 per 3s"),
    }[limit]
    server = spawn("server.py", "--port", free_port, "--policy", serves, "--workers", 2)
    wait_for_port(free_port, server)
    process = tester(
        free_port, "--policy", claimed, "--seed", 4, "--iterations", 4, "--fail-fast", "--no-shrink",
        "--claim", "over-admission",
    )  # fmt: skip
    process.communicate(timeout=200)
    assert process.returncode == 1
    assert "verdict   violated" in (tmp_path / SUMMARY).read_text()
