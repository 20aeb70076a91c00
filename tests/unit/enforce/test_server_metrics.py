"""`/metrics`: what Prometheus reads, and who may read it."""

import re
from itertools import pairwise

import pytest
from werkzeug.test import Client, EnvironBuilder

from rateproof.clock import ManualClock
from rateproof.enforce.counters import Count, Stats
from rateproof.enforce.limiter import Limiter
from rateproof.enforce.server.metrics import MetricsPage, exposition
from rateproof.policy import Policy

HELP = re.compile(r"# HELP (rateproof_[a-z_]+) .+\.")
TYPE = re.compile(r"# TYPE (rateproof_[a-z_]+) (counter|gauge)")
SAMPLE = re.compile(r'(rateproof_[a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (\d+)')


def samples(text):
    """Each sample's value by its name and labels."""
    found = [SAMPLE.fullmatch(line) for line in text.splitlines() if line[0] != "#"]
    return {match[1] + (match[2] or ""): int(match[3]) for match in found}


def below(_, start_response):
    start_response("404 Not Found", [])
    return [b"below"]


@pytest.fixture
def limiter():
    with Limiter("5 per 5s; 100 per 1m", clock=ManualClock(10**9)) as limiter:
        yield limiter


def asked(limiter, peers="loopback", method="GET", path="/metrics", **environ):
    builder = EnvironBuilder(path, method=method, environ_overrides=environ)
    return Client(MetricsPage(below, limiter, peers)).open(builder)


def test_the_page_says_what_was_decided_and_how_full_the_tables_are(limiter):
    for _ in range(7):
        limiter.hit("a")
    limiter.hit("b")
    answer = asked(limiter, REMOTE_ADDR="127.0.0.1")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.content_length == len(answer.data)
    page = samples(answer.text)
    assert page['rateproof_decisions_total{outcome="admitted"}'] == 6
    assert page['rateproof_decisions_total{outcome="denied"}'] == 2
    assert page["rateproof_near_limit_total"] == 1
    assert page['rateproof_live_keys{quota="5 per 5s"}'] == 2
    assert page['rateproof_live_keys{quota="100 per 1m"}'] == 2
    assert page['rateproof_table_slots{quota="5 per 5s"}'] >= 65_536
    assert any('policy="5 per 5s; 100 per 1m"' in name for name in page)


def test_every_line_is_of_the_format_and_every_family_is_introduced_once(limiter):
    lines = exposition(limiter.policy, limiter.stats()).splitlines()
    introduced = []
    for line, following in pairwise(lines):
        if HELP.fullmatch(line):
            introduced.append(HELP.fullmatch(line)[1])
            assert TYPE.fullmatch(following)[1] == introduced[-1]
        elif not TYPE.fullmatch(line):
            assert SAMPLE.fullmatch(line)[1] == introduced[-1]
    assert len(set(introduced)) == len(introduced)
    for name in introduced:
        kind = next(TYPE.fullmatch(line)[2] for line in lines if f"# TYPE {name} " in line)
        assert (kind == "counter") == name.endswith("_total")


def test_every_count_is_on_the_page():
    stats = Stats({count: 100 + count for count in Count}, {})
    page = samples(exposition(Policy.parse("5 per 5s"), stats))
    assert {100 + count for count in Count} <= set(page.values())


def test_a_store_that_does_not_know_its_tables_has_no_sample_of_them():
    page = exposition(Policy.parse("5 per 5s"), Stats(dict.fromkeys(Count, 0), {}))
    assert "live_keys{" not in page


def test_label_values_are_escaped(monkeypatch):
    monkeypatch.setattr("rateproof.enforce.server.metrics.__version__", 'a"b\\c\nd')
    page = exposition(Policy.parse("5 per 5s"), Stats(dict.fromkeys(Count, 0), {}))
    assert r'version="a\"b\\c\nd"' in page
    assert samples(page)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_programs_on_this_machine_may_see_it(limiter, address):
    assert asked(limiter, REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "", "unix:"])
def test_others_meet_the_application_below(limiter, address):
    assert asked(limiter, REMOTE_ADDR=address).text == "below"
    assert asked(limiter, "any", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("field", ["X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP", "VIA"])
def test_what_a_proxy_passes_on_is_not_from_this_machine(limiter, field):
    answer = asked(limiter, **{"REMOTE_ADDR": "127.0.0.1", f"HTTP_{field}": "127.0.0.1"})
    assert answer.text == "below"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/Metrics"])
def test_other_paths_go_to_the_application(limiter, path):
    assert asked(limiter, "any", path=path).text == "below"


def test_a_head_request_gets_no_body(limiter):
    answer = asked(limiter, "any", "HEAD")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.content_length > 0
