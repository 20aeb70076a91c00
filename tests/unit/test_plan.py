"""`rateproof plan`: which limit to set, as the command tells it."""

import errno
import gzip
import json
import os
import random
import re
from tempfile import SpooledTemporaryFile, gettempdir

import flask
import flask_limiter
import pytest

from rateproof.cli import main
from rateproof.keyspec import KeySpec
from rateproof.plan.pasting import settings_for
from rateproof.plan.traffic import Partitions
from rateproof.policy import Policy
from tests.access_lines import line

START = 1_790_000_000
FORMAT = '$remote_addr $msec $request_time "$request" "$http_user_agent"'


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """99 clients who ask 3 times in a second, and an office of one address that asks 40 times."""
    draw = random.Random(1)
    requests = []
    for client in range(99):
        begun = draw.randrange(50)
        requests += [(begun + at / 4, f"192.0.2.{client}", "/a?n=1", "curl/8") for at in range(3)]
    requests += [
        (20 + at / 50, "198.51.100.1", f"/{at % 4}", f"Mozilla/{at % 8}") for at in range(40)
    ]
    path = tmp_path_factory.mktemp("plan") / "access.log"
    lines = (
        f'{ip} {START + at:.3f} 0.001 "GET {target} HTTP/1.1" "{agent}"\n'
        for at, ip, target, agent in sorted(requests)
    )
    path.write_text("".join(lines))
    return path


def planned(log, capsys, *told):
    code = main(["plan", str(log), "--format", FORMAT, "--json", *told])
    return code, json.loads(capsys.readouterr().out)


def test_the_tightest_limits_are_those_that_so_many_clients_kept(log, capsys):
    _, found = planned(log, capsys)
    windows = {
        one["window_s"]: [each["limit"] for each in one["limits"]] for one in found["windows"]
    }
    assert windows == {each: [3, 40, 40] for each in (1, 10, 60, 3600)}
    assert (found["requests"], found["clients"]) == (337, 100)


def test_an_address_of_many_user_agents_may_be_that_of_many_clients(log, capsys):
    _, found = planned(log, capsys, "--policy", "10 per 10s", "--show-keys")
    [office] = found["beyond"]
    assert (office["client"], office["user_agents"], office["paths"]) == ("198.51.100.1", 8, 4)
    assert office["shared"]
    assert office["rejected"] == found["policy"]["rejected"] == [30, 30]
    assert found["policy"]["clients"] == [1, 1]


def test_no_key_is_shown_unless_asked_for(log, capsys, tmp_path):
    page = tmp_path / "plan.html"
    told = ["--policy", "10 per 10s", "--report", str(page)]
    main(["plan", str(log), "--format", FORMAT, *told])
    text = capsys.readouterr().out
    assert "shared address?" in text
    assert "shared address?" in page.read_text()
    assert "198.51.100.1" not in text + page.read_text()


@pytest.mark.parametrize(
    ("policy", "most", "code"),
    [
        ("100 per 10s", "0%", 0),
        ("10 per 10s", "10%", 0),
        ("10 per 10s", "5%", 1),
        # In each half of the office's 0.8 s a window may begin, or not.
        ("fixed-window 20 per 10s", "3%", 2),
    ],
)
def test_the_exit_code_says_if_more_is_rejected_than_that(log, capsys, policy, most, code):
    assert planned(log, capsys, "--policy", policy, "--max-rejected", most)[0] == code


@pytest.mark.parametrize("permille", [7, 14, 28, 29])
def test_a_share_is_compared_exactly(permille, tmp_path, capsys):
    """0.7 / 100 as a float is less than 7 / 1000."""
    path = tmp_path / "access.log"
    lines = [f'192.0.2.1 {START}.000 0.001 "GET / HTTP/1.1" "-"\n'] * (permille + 1)
    lines += [
        f'192.0.2.1 {START + 10 * at}.000 0.001 "GET / HTTP/1.1" "-"\n'
        for at in range(1, 1_000 - permille)
    ]
    path.write_text("".join(lines))
    told = ["--policy", "1 per 1s", "--max-rejected"]
    code, found = planned(path, capsys, *told, f"{permille / 10}%")
    assert found["policy"]["rejected"] == [permille, permille]
    assert code == 0
    assert planned(path, capsys, *told, f"{permille / 10 - 0.01:.2f}%")[0] == 1
    main(["plan", str(path), "--format", FORMAT])
    assert "\n1,000 requests of 1 client (ip)" in capsys.readouterr().out


def test_the_settings_for_flask_limiter_count_the_routes_of_an_application_together():
    [text] = [
        one.text
        for one in settings_for(Policy.parse("3 per 5s"), KeySpec.parse("ip"))
        if one.limiter == "Flask-Limiter"
    ]
    app = flask.Flask("pasted")
    names = {"Limiter": flask_limiter.Limiter, "app": app, "get_remote_address": lambda: "one"}
    eval(text.replace("(", '(storage_uri="memory://", key_func=', 1), names)
    for route in "ab":
        app.add_url_rule(f"/{route}", route, lambda: "")
    client = app.test_client()
    assert [client.get(f"/{route}").status_code for route in "abab"] == [200, 200, 200, 429]


def test_a_policy_of_two_quotas_is_pasted_whole_or_said_to_be_the_first(log, capsys):
    _, found = planned(log, capsys, "--policy", "3 per 5s; 10 per 1m")
    ours, *others = found["settings"]
    assert 'policy = "3 per 5s; 10 per 1m"' in ours["text"]
    assert ours["rejected"] == found["policy"]["rejected"]
    assert all(one["remark"].endswith("the first quota only") for one in others)


def test_who_is_beyond_the_second_quota_alone_is_shown(log, capsys):
    _, found = planned(log, capsys, "--policy", "50 per 1s; 10 per 1m", "--show-keys")
    [office] = found["beyond"]
    assert office["client"] == "198.51.100.1"
    assert office["rejected"] == found["policy"]["rejected"] == [30, 30]
    assert found["all_beyond"] == 1


def test_the_burst_of_a_bucket_is_that_of_nginx():
    [setting] = [
        one
        for one in settings_for(
            Policy.parse("token-bucket 10 per 1s burst 50"), KeySpec.parse("ip")
        )
        if one.limiter == "nginx"
    ]
    assert "burst=49 nodelay" in setting.text
    assert setting.admits(10**9) == 59


@pytest.mark.parametrize(
    ("policy", "unit", "limit"),
    [
        ("100 per 10s", "second", 10),
        ("3 per 5s", "minute", 36),  # less than one a second
        ("7 per 1m", "minute", 7),
        ("90 per 90m", "hour", 60),
        ("5 per 2h", "hour", 2),
        ("1 per 30d", "day", 1),
    ],
)
def test_the_unit_for_envoy_is_the_longest_that_the_window_has(policy, unit, limit):
    [setting] = [
        one
        for one in settings_for(Policy.parse(policy), KeySpec.parse("ip"))
        if one.limiter.startswith("Envoy")
    ]
    assert f"unit: {unit}\n      requests_per_unit: {limit}" in setting.text


def test_what_haproxy_denies_is_at_least_what_a_counter_would(log, capsys):
    """It counts what it denies, so nobody knows how long a client stays denied."""
    assert main(["plan", str(log), "--format", FORMAT, "--policy", "10 per 10s"]) == 0
    [said] = re.findall("HAProxy.*\n  (.*)", capsys.readouterr().out)
    assert re.fullmatch(r"would have rejected about \d+ requests \(.*\) or more, an estimate", said)


def test_one_request_is_one_request(tmp_path, capsys):
    path = tmp_path / "access.log"
    stamp = "[30/Nov/2026:12:00:00 +0000]"
    path.write_text(f'192.0.2.1 - - {stamp} "GET / HTTP/1.1" 200 1 "-" "curl"\n' * 2)
    page = tmp_path / "plan.html"
    asked = ["--format", "nginx", "--policy", "1 per 1m", "--report", str(page)]
    assert main(["plan", str(path), *asked]) == 0
    said = capsys.readouterr().out + page.read_text()
    assert not re.search(r"(?<![\d,])1 (requests|clients)\b", said)
    assert "1 request " in said


def test_the_page_has_no_table_without_rows(tmp_path):
    """Of clients that are all alike no limit rejects only some."""
    path, page = tmp_path / "access.log", tmp_path / "plan.html"
    path.write_bytes(b"".join(line(at // 3, ip=f"192.0.2.{at % 3}") for at in range(120)))
    assert main(["plan", str(path), "--format", "nginx", "--report", str(page)]) == 0
    assert not re.search(r"<tbody>\s*</tbody>", page.read_text())


def test_a_limit_that_is_too_large_for_some_limiter_has_the_settings_of_others(log, capsys):
    code, found = planned(log, capsys, "--policy", "999999999 per 10s")
    assert code == 0
    assert "Flask-Limiter" in [one["limiter"] for one in found["settings"]]


def test_a_log_that_begins_with_a_line_of_a_megabyte_is_recognised(tmp_path, capsys):
    path = tmp_path / "access.log"
    asked = '192.0.2.1 - - [30/Nov/2026:23:59:00 +0000] "GET /{} HTTP/1.1" 200 5 "-" "-"\n'
    path.write_text("".join(map(asked.format, ("x" * (1 << 20), "y"))))
    assert main(["plan", str(path)]) == 0
    assert "2 requests of 1 client (ip)" in capsys.readouterr().out


def test_the_model_has_each_come_back_once(log, capsys):
    """30 are rejected; 10 s later all of them come back, and 10 get through."""
    _, found = planned(log, capsys, "--policy", "10 per 10s")
    assert (found["model"]["rejected"], found["model"]["rejected_again"]) == (30, 20)


def test_parts_on_disk_say_what_those_in_memory_say(log, capsys, monkeypatch):
    _, whole = planned(log, capsys, "--policy", "10 per 10s", "--show-keys")
    init = Partitions.__init__
    monkeypatch.setattr(Partitions, "__init__", lambda self: init(self, count=7, most_bytes=1))
    _, parted = planned(log, capsys, "--policy", "10 per 10s", "--show-keys")
    assert parted == whole
    with Partitions() as parts:
        parts.add(b"", [b""] * 4)
        assert parts.filled() == []


def test_a_full_disk_is_told(log, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SpooledTemporaryFile, "rollover", full)
    init = Partitions.__init__
    monkeypatch.setattr(Partitions, "__init__", lambda self: init(self, most_bytes=1))
    assert main(["plan", str(log), "--format", FORMAT]) == 73
    assert f"cannot write to {gettempdir()}: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--max-rejected", "1%"], ["--policy", "leaky-queue 5 per 1s"]]
)
def test_what_cannot_be_answered_is_refused_before_the_work(options, capsys):
    assert main(["plan", "nowhere.log", *options]) == 64
    assert "nowhere" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [b"", b"\n", gzip.compress(b"1.2.3.4 - - \n" * 99, mtime=0)[:-9], b"what\n" * 9]
)
def test_a_log_that_says_nothing_is_refused(content, tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(content)
    assert main(["plan", str(path)]) == 65
    told = capsys.readouterr()
    assert told.err.startswith("rateproof: error: ")
    assert not told.out


@pytest.mark.parametrize("policy", ["100 per 1m", "5 per 1s", "7 per 90s", "1000 per 1h"])
def test_no_setting_admits_less_in_its_window_than_the_limit(policy):
    """All but nginx's, which rounds its rate down to thousandths."""
    [quota] = Policy.parse(policy).quotas
    for key in ("ip", "header:X-Api-Key", "query:client", "cookie:id", "path+ip"):
        for setting in settings_for(Policy((quota,)), KeySpec.parse(key)):
            assert setting.admits(quota.window_ns) >= quota.limit, setting
