"""`check --follow`: pieces of a log that grows show what the whole log shows."""

import itertools
import json
import random
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from rateproof.checking.following import follow
from rateproof.checking.watch import LogWatch
from rateproof.cli import main
from rateproof.errors import InvalidArgument
from rateproof.events.access_logs import Reading, named
from rateproof.events.access_logs.rotation import live
from rateproof.events.access_logs.scan import Scan
from rateproof.events.access_logs.tail import Tail
from rateproof.policy import Policy
from tests.access_lines import limited, line
from tests.samples import quick_first

NGINX = Reading(format=named("nginx"))


def watched(pieces, policy, **told):
    """Judge after each piece; the lines that were told, and the watch."""
    found = []
    watch = LogWatch(
        Policy.parse(policy), told, lambda log: log, lambda one: found.append(json.loads(one))
    )
    scan = Scan([], "access.log", NGINX)
    most = 0
    for piece in pieces:
        scan.feed(piece)
        watch.add(scan.take(), scan)
        watch.judge()
        most = max(most, watch.held)
    return found, watch, most


def test_an_excess_that_lies_in_two_pieces_is_found_once():
    lines = [line(t) for t in (0, 20, 40, 53, 54, 55)] + [
        line(200 + t, ip="192.0.2.2") for t in range(4)
    ]
    found, watch, _ = watched([b"".join(lines[:2]), *lines[2:]], "3 per 1m")
    assert [one["key"] for one in found] == ["'192.0.2.1'", "'192.0.2.2'"]
    assert found[0]["claims"] == ["over-admission"]
    assert found[0]["outcome"] == "violated"
    assert watch.verdict().outcome == "violated"
    assert watch.counts.admitted == 8


def test_a_rejection_without_need_is_found_however_the_log_is_cut():
    rows = [
        *((t, 200) for t in range(0, 100, 10)),
        (101, 200),
        (150, 429),
        *((t, 200) for t in range(200, 300, 10)),
    ]
    lines = [line(t, status=status) for t, status in rows]
    for size in (1, 3, 30):
        pieces = [b"".join(lines[at : at + size]) for at in range(0, len(lines), size)]
        found, _, _ = watched(pieces, "5 per 10s")
        assert [one["claims"] for one in found] == [["wrong-rejection"]]


@pytest.mark.parametrize("seed", quick_first(range(6)))
def test_a_right_limiter_is_never_called_violated_and_little_is_held(seed):
    draw = random.Random(seed)
    rows = sorted(
        (decided + draw.uniform(0, 2), status, client)
        for client in range(4)
        for decided, status in limited(sorted(draw.uniform(0, 900) for _ in range(700)), 5, 10)
    )
    lines = [line(ended, status=status, ip=f"192.0.2.{client}") for ended, status, client in rows]
    pieces = [b"".join(lines[at : at + 300]) for at in range(0, len(lines), 300)]
    found, watch, most = watched(pieces, "5 per 10s")
    assert not found
    assert watch.verdict().outcome != "violated"
    assert watch.counts.events == len(rows)
    assert most < 500  # 300 are new, of 2,800


def test_requests_that_copytruncate_may_have_lost_explain_a_rejection():
    early, late = [line(t) for t in range(0, 100, 10)], line(150, status=429)
    rest = [line(t) for t in range(200, 300, 10)]

    def told(*, gap):
        found = []
        watch = LogWatch(Policy.parse("5 per 10s"), {}, lambda log: log, found.append)
        scan = Scan([], "access.log", NGINX)
        for at, piece in enumerate([b"".join(early), late, *rest]):
            if gap and at == 1:
                watch.lost(scan)
            scan.feed(piece)
            watch.add(scan.take(), scan)
            watch.judge()
        return found

    assert told(gap=False)
    assert not told(gap=True)


def of_hosts(*turns, policy="5 per 10s"):
    """Judge lines of two hosts, given in turns; the lines that were told, and the watch."""
    found = []
    watch = LogWatch(
        Policy.parse(policy), {}, lambda log: log, lambda one: found.append(json.loads(one)), logs=2
    )
    scans = [Scan([], name, replace(NGINX, skew_ns=0)) for name in ("a.log", "b.log")]
    for host, piece in turns:
        scans[host].feed(piece)
        watch.add(scans[host].take(), scans[host])
        watch.judge()
    return found, watch, scans


def test_an_excess_over_two_hosts_is_found_in_their_logs_together():
    found, watch, _ = of_hosts((0, line(0) + line(1)), (1, line(0) + line(1)), policy="3 per 1m")
    assert [one["claims"] for one in found] == [["over-admission"]]
    assert watch.counts.admitted == 4


def test_no_rejection_is_judged_while_another_host_is_silent():
    """Its lines may come later, and have what explains the rejection."""
    rows = [
        *((t, 200) for t in range(0, 100, 10)),
        (150, 429),
        *((t, 200) for t in range(200, 300, 9)),
    ]
    first, *rest = [line(t, status=status) for t, status in rows]
    for other in (b"", b"".join(map(line, range(0, 120, 10)))):
        found, _, _ = of_hosts((0, first), (1, other), (0, b"".join(rest)))
        assert not found
    other = b"".join(line(t, ip="192.0.2.9") for t in (0, 290))
    found, _, _ = of_hosts((0, first), (1, other), (0, b"".join(rest)))
    assert [one["claims"] for one in found] == [["wrong-rejection"]]


def test_a_host_that_is_silent_keeps_nothing_in_memory():
    _, watch, scans = of_hosts((1, line(0)))
    watch.quiet(scans[1], now=True)
    for t in range(0, 6_000, 300):
        scans[0].feed(b"".join(map(line, range(t, t + 300, 3))))
        watch.add(scans[0].take(), scans[0])
        watch.judge()
        assert watch.held < 150


def test_a_clock_of_one_host_that_is_set_back_explains_rejections_of_the_other():
    lines = b"".join(map(line, range(0, 100, 10)))
    _, watch, scans = of_hosts((0, lines), (1, lines))
    fresh = Scan([], "a.log", replace(NGINX, skew_ns=0))
    watch.start_over(scans[0], fresh)
    assert watch.held == 0
    fresh.feed(b"".join(line(t, status=429 if t == 40 else 200) for t in range(-3_000, 95, 10)))
    watch.add(fresh.take(), fresh)
    watch.judge()
    assert watch.verdict().outcome != "violated"


def test_the_names_of_clients_that_violate_are_bounded(monkeypatch):
    monkeypatch.setattr("rateproof.checking.watch._MOST_NAMES", 10)
    lines = b"".join(line(t, ip=f"192.0.2.{client}") for client in range(30) for t in (1, 1, 1))
    found, watch, _ = watched([lines], "2 per 1m")
    assert (len(found), watch.told, len(watch.violating)) == (30, 30, 10)


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["access.log*"], ["access.log"]), (["access.log", "x.log"], ["access.log", "x.log"])],
)
def test_of_a_pattern_the_files_that_no_rotation_named_are_followed(
    names, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("access.log", "access.log.1", "access.log-20261130.gz", "x.log"):
        Path(name).touch()
    assert live(names) == expected
    Path("access.log").unlink()
    with pytest.raises(InvalidArgument, match="renamed by a rotation"):
        live(["access.log*"])


def test_a_file_of_two_quick_rotations_may_have_what_explains_a_rejection(tmp_path, monkeypatch):
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(map(line, range(0, 100, 10))))
    clock = itertools.count(step=3)
    monkeypatch.setattr(
        "rateproof.checking.following.Tail", lambda path: Tail(path, lambda: next(clock))
    )
    watch = LogWatch(Policy.parse("5 per 10s"), {}, lambda log: log, print)
    steps = itertools.count()

    class Stop:
        """Renames the log twice; the file in between is never seen. Later it stops."""

        step = 0

        @classmethod
        def is_set(cls):
            return cls.step > 8

        @classmethod
        def wait(cls, _):
            cls.step = next(steps)
            if cls.step == 0:
                path.unlink()
                late = [
                    line(t, status=429 if t == 150 else 200) for t in (150, *range(200, 300, 9))
                ]
                path.with_suffix(".new").write_bytes(b"".join(late))
                path.with_suffix(".new").rename(path)

    verdict = follow([str(path)], NGINX, watch, Stop, metrics_port=None)
    assert verdict.counts.events == 10 + 13
    assert verdict.outcome != "violated"


def test_a_clock_that_was_set_back_starts_over(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(map(line, (0, 1, 3600))))
    found = []
    watch = LogWatch(Policy.parse("3 per 1m"), {}, lambda log: log, found.append)
    stop = threading.Event()
    texts = iter([b"".join(map(line, (2, 3))), b"".join(map(line, (10, 11, 12, 13)))])

    class Stop:
        """Adds to the log each time that there is nothing to read; then it stops."""

        @staticmethod
        def is_set():
            return stop.is_set()

        @staticmethod
        def wait(_):
            text = next(texts, None)
            if text is None:
                stop.set()
            else:
                with path.open("ab") as file:
                    file.write(text)

    verdict = follow([str(path)], NGINX, watch, Stop, metrics_port=None)
    assert "judging starts over" in capsys.readouterr().err
    assert verdict.outcome == "violated"
    assert json.loads(found[0])["requests"] == 4


def test_standard_input_is_followed_to_its_end():
    text = b"".join(map(line, (0, 1, 2, 3)))
    command = [sys.executable, "-m", "rateproof", "check", "-", "--policy", "3 per 1m", "--follow"]
    told = subprocess.run([*command, "--json"], input=text, capture_output=True, check=False)
    assert told.returncode == 1, told.stderr
    first, last = map(json.loads, told.stdout.splitlines())
    assert (first["key"], first["outcome"]) == ("'192.0.2.1'", "violated")
    assert last["answer"].startswith("VIOLATED: 4 let through in 1 m")
    told = subprocess.run(command, input=text[: len(text) // 2], capture_output=True, check=False)
    assert (told.returncode, told.stdout) == (2, b"")
    assert b"NOT TESTED" in told.stderr
    empty = text.replace(b" 200 ", b" 404 ")
    told = subprocess.run(command, input=empty, capture_output=True, check=False)
    assert (told.returncode, told.stderr.count(b"every answer was 404")) == (2, 1)
    told = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert told.returncode == 65
    assert b"has no events" in told.stderr


def test_a_log_that_nothing_was_written_to_has_no_request():
    """Ctrl-C before the first line: a sentence for people, not one on runs."""
    _, watch, _ = watched([], "3 per 1m")
    assert watch.verdict().reasons == ("the log has no request",)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log():
    """600,000 lines of as many clients, 2,000 a second: 50,000 lie in two windows and a request."""

    def piece(at):
        lines = []
        for second in range(50 * at, 50 * (at + 1)):
            begun, rest = line(second, ip="@").split(b"@")
            lines += [b"%s10.%d.%d%s" % (begun, second, number, rest) for number in range(2_000)]
        return b"".join(lines)

    def peak_kb(process):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])

    command = [sys.executable, "-m", "rateproof", "check", "-", "--follow", "--format", "nginx"]
    with subprocess.Popen(
        [*command, "--policy", "100 per 10s"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for at in range(2):
            process.stdin.write(piece(at))
        early_kb = peak_kb(process)
        for at in range(2, 6):
            process.stdin.write(piece(at))
        late_kb = peak_kb(process)
        process.stdin.close()
        assert process.wait(60) == 2
    assert late_kb - early_kb < 20_000


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--follow", "--by-key"], "--by-key with --follow"),
        (["--follow", "--claim", "all"], "--claim all with --follow"),
        (["--follow", "other.log"], "--follow of 2 files without --skew"),
        (["--fail-fast"], "--fail-fast without --follow"),
        (["--metrics-port", "9"], "--metrics-port without --follow"),
    ],
)
def test_what_does_not_go_with_following_is_refused(words, problem, tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(line())
    files = [word for word in words if word.endswith(".log")]
    assert main(["check", str(path), *files, *(word for word in words if word not in files)]) == 64
    assert problem in capsys.readouterr().err
