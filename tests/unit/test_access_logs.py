"""Access logs: when a request was decided by what its line says, and what is judged by that."""

import random
from datetime import timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rateproof.cli import main
from rateproof.errors import LogError
from rateproof.events.access_logs import CLOCK_LAG_NS, Reading, Where, named, read_access_log
from rateproof.events.access_logs.feeding import begin, chunks
from rateproof.policy import Policy
from rateproof.prove import judge
from tests.access_lines import BEGIN_NS, SECOND, TIMED, limited, line, read
from tests.samples import samples

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/histories/access-logs"


def test_a_stamp_of_the_end_bounds_the_decision_by_the_longest_request():
    event = read([line(7)], longest_ns=5 * SECOND)[0]
    assert event.sent_ns == BEGIN_NS + 2 * SECOND - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 8 * SECOND - 1 + CLOCK_LAG_NS


def test_a_stamp_of_the_start_bounds_it_on_the_other_side():
    event = read([line(7)], text="apache", longest_ns=5 * SECOND)[0]
    assert event.sent_ns == BEGIN_NS + 7 * SECOND - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 13 * SECOND - 1 + CLOCK_LAG_NS


def test_a_line_that_nginx_and_apache_both_write_is_bounded_for_both(capsys):
    event = read([line(7)], text=None, longest_ns=5 * SECOND)[0]
    assert event.sent_ns == BEGIN_NS + 2 * SECOND - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 13 * SECOND - 1 + CLOCK_LAG_NS
    assert "stamps of the start or end of a request" in capsys.readouterr().err


def test_a_duration_bounds_the_start_instead():
    epoch = BEGIN_NS // SECOND
    event = read([f"192.0.2.1 [{epoch}.500] 0.200 200\n".encode()], text=TIMED)[0]
    assert event.sent_ns == BEGIN_NS + 299_000_000 - CLOCK_LAG_NS
    assert event.received_ns == BEGIN_NS + 501_000_000 - 1 + CLOCK_LAG_NS


def test_the_same_instant_in_any_zone_is_one_instant():
    summer = timezone(timedelta(hours=2))
    winter, there = read([line(7)])[0], read([line(7, zone=summer)])[0]
    assert winter.sent_ns == there.sent_ns


def test_a_local_hour_that_comes_twice_is_told_apart_by_its_offset():
    zones = [timezone(timedelta(hours=2))] * 3 + [timezone(timedelta(hours=1))] * 3
    log = read([line(1200 * at, zone=zone) for at, zone in enumerate(zones)])
    sent = log.ints("sent_ns")
    assert [later - sooner for sooner, later in pairwise(sent)] == [1200 * SECOND] * 5


def test_check_names_what_whole_seconds_could_have_shown(tmp_path, capsys):
    draw = random.Random(1)
    times = sorted(draw.uniform(0, 300) for _ in range(1500))
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(line(t, status=s) for t, s in limited(times, 100, 60)))
    asked = ["check", str(path), "--policy", "100 per 1m", "--key", "ip"]
    assert main([*asked, "--format", "nginx"]) == 0
    out, err = capsys.readouterr()
    assert "if no request lasts over 5 s, 101 stamped within 54 s would have been proven" in out
    assert "this assumes that no request lasted over 5s (--longest)" in out
    assert "format: nginx, stamps of the end of a request; first: ip 192.0.2.1" in err
    assert main(asked) == 0
    assert "101 stamped within 49 s would have been proven" in capsys.readouterr().out


def test_as_many_within_as_long_are_proven_and_one_second_more_are_not(tmp_path, capsys):
    path = tmp_path / "access.log"
    asked = ["check", str(path), "--policy", "3 per 1m", "--format", "nginx", "--longest", "5s"]
    path.write_bytes(b"".join(map(line, (0, 20, 40, 53))))
    assert main(asked) == 1
    out = capsys.readouterr().out
    assert "VIOLATED: 4 let through in 1 m, 3 promised" in out
    assert "4 stamped within 54 s would have been proven" in out
    assert "this assumes that no request lasted over 5s" in out
    path.write_bytes(b"".join(map(line, (0, 20, 40, 54))))
    assert main(asked) == 2


@settings(max_examples=samples(15))
@given(
    seed=st.integers(0, 2**32),
    limit=st.integers(1, 8),
    notation=st.sampled_from(["nginx", "apache", "combined", "timed"]),
)
def test_what_a_right_limiter_logged_is_never_called_violated(seed, limit, notation):
    draw = random.Random(seed)
    window_s = draw.choice([5, 10, 30])
    times = sorted(draw.uniform(0, 6 * window_s) for _ in range(draw.randrange(20, 120)))
    rows = []
    for decided, status in limited(times, limit, window_s):
        before, after = draw.choice([(0, 0), (0, 2.4), (2.4, 0), (1, 1)])
        begun, ended = decided - before, decided + after
        rows.append((ended, begun, status))
    rows.sort()
    cut = rows[len(rows) // 4 : len(rows) * 3 // 4]
    if notation == "timed":
        lines = []
        for ended, begun, status in cut:
            end_ms = int(BEGIN_NS // 10**6 + ended * 1000)
            took_ms = end_ms - int(BEGIN_NS // 10**6 + begun * 1000)
            stamp = f"{end_ms // 1000}.{end_ms % 1000:03}"
            lines.append(
                f"192.0.2.1 [{stamp}] {took_ms // 1000}.{took_ms % 1000:03} {status}\n".encode()
            )
        log = read(lines, text=TIMED)
    else:
        stamp = 1 if notation == "apache" or (notation == "combined" and seed % 2) else 0
        lines = [line(row[stamp], status=row[2]) for row in cut]
        log = read(lines, text=notation, longest_ns=2_400_000_000)
    policy = Policy.parse(f"{limit} per {window_s}s")
    verdict = judge(log, policy)
    assert verdict.outcome != "violated", verdict.describe()


def test_a_limiter_that_rejects_without_need_is_found():
    times = [0, 1, 2, 100, *range(200, 300, 10)]
    rows = [(t, 429 if t == 240 else 200) for t in times]
    log = read([line(t, status=s) for t, s in rows])
    assert judge(log, Policy.parse("5 per 10s")).outcome == "violated"


def test_a_rejection_that_a_request_under_way_may_explain_is_not_judged():
    rows = [(t, 200) for t in range(0, 200, 10)] + [(201, 429)]
    verdict = judge(read([line(t, status=s) for t, s in rows]), Policy.parse("1 per 5s"))
    assert verdict.outcome != "violated"
    after = [*rows, (260, 200)]
    verdict = judge(read([line(t, status=s) for t, s in after]), Policy.parse("1 per 2s"))
    assert verdict.outcome == "violated"


def test_a_rejection_as_the_log_begins_is_not_judged():
    rows = [(0, 200), (1, 429), (300, 200)]
    verdict = judge(read([line(t, status=s) for t, s in rows]), Policy.parse("5 per 1m"))
    assert verdict.outcome != "violated"
    assert verdict.counts.judged == 0


def test_a_failure_of_the_server_does_not_hide_what_comes_later():
    rows = [(0, 200), (1, 500), *((t, 200) for t in range(100, 200, 10)), (155, 429), (300, 200)]
    log = read([line(t, status=s) for t, s in sorted(rows)])
    assert judge(log, Policy.parse("5 per 10s")).outcome == "violated"


@pytest.mark.parametrize("status", [400, 408, 499, 500, 502])
def test_what_a_limiter_may_not_have_seen_is_no_admission(status):
    assert read([line(status=status)])[0].outcome == "unknown"


def test_rejected_statuses_are_those_that_are_told(tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(line(t, status=403 if t % 2 else 499) for t in range(20)))
    asked = ["check", str(path), "--policy", "1 per 10s", "--rejected", "403", "--json"]
    main(asked)
    assert '"rejected": 10, "unknown": 10' in capsys.readouterr().out


def test_pieces_cut_anywhere_give_the_chunks_of_the_whole():
    lines = [line(at, ip=f"192.0.2.{at % 7}", status=200 + at % 3) for at in range(500)]
    lines[40] = line(40, ip="-")
    text = b"".join(lines)
    pieces = [text[at : at + 777] for at in range(0, len(text), 777)]
    reading = Reading(format=named("nginx"), where=Where.parse("status != 202"))
    whole = read_access_log(lines, "access.log", reading)
    for keep in (False, True):
        scan, files = begin([("access.log", iter(pieces))], "access.log", reading)
        rows, words = [], []
        for chunk in chunks(scan, files, size=5_000, keep=keep):
            words = [*words, *chunk.words] if keep else chunk.words
            rows += zip(chunk.line, chunk.sent_ns, map(words.__getitem__, chunk.keys), strict=True)
        assert rows == [(event.sequence, event.sent_ns, event.key) for event in whole]
        assert len(words) == 7 if keep else len(words) < 8
        assert scan.metadata()["complete_ns"] == whole.metadata["complete_ns"]
        assert scan.keyless == 1


def test_a_clock_that_was_set_back_is_refused():
    lines = [line(t) for t in (0, 3600, 30)]
    with pytest.raises(LogError, match="line 3: its request ended 3570s before"):
        read(lines)


def test_lines_of_workers_out_of_order_are_read():
    assert len(read([line(t) for t in (0, 3, 1, 2, 4)])) == 5


def test_evidence_of_an_access_log_carries_its_assumption(tmp_path, capsys):
    path, document = tmp_path / "access.log", tmp_path / "evidence.json"
    path.write_bytes(b"".join(map(line, (0, 1, 2, 3))))
    asked = ["check", str(path), "--policy", "3 per 1m", "--evidence", str(document)]
    assert main(asked) == 1
    capsys.readouterr()
    assert main(["check", str(document)]) == 1
    assert "assuming that no request lasted over 5s (--longest)" in capsys.readouterr().out


@pytest.mark.parametrize("program", ["nginx", "apache"])
def test_the_coarse_log_of_a_program_bounds_what_its_fine_log_says(program):
    timed = {
        "nginx": '$remote_addr $msec $request_time $status "$request" "$x" $id',
        "apache": '%a %{usec}t %D %>s "%r" "%{X}i"',
    }
    wide, narrow = (
        read((SAMPLES / f"{program}-{name}.log").read_bytes().splitlines(keepends=True), text=text)
        for name, text in (("combined", program), ("timed", timed[program]))
    )
    assert len(wide) == len(narrow) == 13
    for one, other in zip(wide, narrow, strict=True):
        assert one.status == other.status
        assert one.sent_ns <= other.received_ns
        assert other.sent_ns <= one.received_ns
        assert one.received_ns - one.sent_ns > other.received_ns - other.sent_ns


@pytest.mark.parametrize("status", [400, 408, 413, 421, 444, 499])
def test_what_a_server_refuses_before_its_limiter_is_no_admission(status):
    log = read([line(second, status=status) for second in (0, 1, 2)])
    assert {event.outcome for event in log} == {"unknown"}


def test_a_rejection_after_summer_time_began_in_stamps_without_a_zone_is_not_judged():
    def row(minute, status):
        return f"192.0.2.1 [29/Mar/2026:{minute // 60:02}:{minute % 60:02}:00{{}}] {status}\n"

    rows = [row(minute, 200) for minute in (*range(10, 120), *range(180, 400))]
    rows[115:115] = [row(184, 429)]
    policy, text = Policy.parse("20 per 10m"), "$remote_addr [$time_local] $status"
    local = read([one.format("").encode() for one in rows], text=text)
    assert judge(local, policy).outcome != "violated"
    later = [*rows[:-100], row(300, 429), *rows[-99:]]
    for log, zone in ((later, ""), (rows, " +0000")):
        told = read([one.format(zone).encode() for one in log], text=text)
        assert judge(told, policy).outcome == "violated"


def test_one_stamp_without_a_zone_anywhere_is_enough_for_doubt():
    text, policy = "$remote_addr [$time_local] $status", Policy.parse("20 per 10m")
    rows = [(minute, 200) for minute in range(10, 120)]
    rows += [(184, 429), *((minute, 200) for minute in range(185, 400))]
    lines = [
        f"192.0.2.1 [29/Mar/2026:{minute // 60:02}:{minute % 60:02}:00 +0000] {status}\n".encode()
        for minute, status in rows
    ]
    assert judge(read(lines, text=text), policy).outcome == "violated"
    lines[70] = lines[70].replace(b" +0000", b"")
    assert judge(read(lines, text=text), policy).outcome != "violated"


def test_that_a_503_is_the_limiters_is_an_assumption_where_no_answer_is_429():
    def named_in(*statuses):
        log = read([line(at, status=status) for at, status in enumerate(statuses)])
        return any("503" in one for one in log.metadata["assumptions"])

    assert named_in(200, 503)
    assert not named_in(200, 503, 429)
    assert not named_in(200, 200)


def test_what_counts_neither_way_is_not_named_as_an_admission():
    rows = [line(at, status=status) for at, status in enumerate((200, 499, 404, 429))]
    told = judge(read(rows), Policy.parse("1 per 1s")).describe()
    assert "some answers that count as admitted were redirects or client errors (404: 1)" in told
