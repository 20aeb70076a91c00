"""Reading the settings anew: what is posted, what is said, and what cannot change."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import Client

from rateproof.clock import ManualClock
from rateproof.enforce.server import ServerSettings
from rateproof.enforce.server.board import Board
from rateproof.enforce.server.reload import Reloader
from rateproof.enforce.server.succession import LAG_NS
from rateproof.enforce.server.worker import Worker
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy

SECOND = 1_000_000_000
START = ServerSettings.told(policy=Policy.parse("5 per 5s"), store="memory://", capacity=100)
TIGHTER = replace(START, policy=Policy.parse("3 per 5s"))


class Desk:
    """A reloader whose file and clock the test moves, and what its board shows."""

    def __init__(self):
        self.file = START
        self.clock = ManualClock(10 * SECOND)
        self.board = Board()
        self.reloader = Reloader(START, self._read, self.board, self.clock)

    def _read(self):
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def reload(self, file):
        self.file = file
        self.reloader.reload()

    @property
    def shown(self):
        return self.board.read(self.board.mark())


@pytest.fixture
def desk():
    return Desk()


def test_the_settings_are_posted_before_anything_is_asked(desk):
    assert desk.shown == START


def test_a_changed_quota_is_posted_beside_the_old_one_and_then_alone(desk, capsys):
    desk.reload(TIGHTER)
    assert str(desk.shown.policy) == "3 per 5s; 5 per 5s"
    assert capsys.readouterr().err == (
        "rateproof: reloaded, changed: policy; 3 per 5s per query:clientId|header:X-Client-Id|ip\n"
        "rateproof: 5 per 5s holds beside it for another 6 s\n"
    )
    desk.clock.advance(5 * SECOND + LAG_NS - 1)
    desk.reloader.cease()
    assert str(desk.shown.policy) == "3 per 5s; 5 per 5s"
    desk.clock.advance(1)
    desk.reloader.cease()
    assert desk.shown == TIGHTER


def test_proxies_that_a_reload_turns_on_are_warned_of_as_at_the_start(desk, capsys):
    desk.reloader.over_wsgi = True
    desk.reload(TIGHTER)
    assert "WARNING" not in capsys.readouterr().err
    desk.reload(replace(TIGHTER, proxies=1))
    warning = "granian takes X_Forwarded_For for X-Forwarded-For"
    assert capsys.readouterr().err.count(warning) == 1
    desk.reload(replace(TIGHTER, proxies=1, shadow=True))
    desk.reload(TIGHTER)
    assert "WARNING" not in capsys.readouterr().err


def test_settings_that_cannot_be_are_said_and_change_nothing(desk, capsys):
    before = desk.board.mark()
    desk.reload(InvalidArgument("port in server.toml: 'x'", "a whole number"))
    assert desk.board.mark() == before
    said = capsys.readouterr().err
    assert "not reloaded" in said
    assert "port in server.toml: 'x' (a whole number)" in said


def test_a_quota_that_the_store_cannot_keep_is_said_and_changes_nothing(desk, capsys):
    before = desk.board.mark()
    desk.reload(replace(START, policy=Policy.parse("1000000000 per 5s")))
    assert desk.board.mark() == before
    assert "not reloaded" in capsys.readouterr().err
    desk.reload(TIGHTER)
    assert str(desk.shown.policy) == "3 per 5s; 5 per 5s"


def test_what_only_a_restart_changes_is_said_and_stays(desk, capsys):
    desk.reload(replace(TIGHTER, port=1, workers=1, store="shm://x", capacity=7, status=429))
    assert desk.shown == replace(START, policy=desk.shown.policy, status=429)
    said = capsys.readouterr().err
    assert "changed: policy, status" in said
    assert "only a restart changes port, workers, store, capacity" in said


def test_a_quota_too_many_is_said_and_changes_nothing(desk, capsys):
    for limit in range(1, 9):
        desk.reload(replace(START, policy=Policy.parse(f"{limit} per 1h")))
    before = desk.board.mark()
    desk.reload(replace(START, policy=Policy.parse("10 per 1h")))
    assert desk.board.mark() == before
    assert "not reloaded, all stays as it was: 9 quotas would hold" in capsys.readouterr().err
    desk.clock.advance(3601 * SECOND)
    desk.reload(replace(START, policy=Policy.parse("10 per 1h")))
    assert str(desk.shown.policy) == "10 per 1h; 8 per 1h"


@pytest.mark.parametrize(
    "change", [{"key": KeySpec.parse("ip")}, {"proxies": 1}, {"ipv6_prefix": 64}]
)
def test_that_clients_have_other_identities_is_said(desk, capsys, change):
    desk.reload(replace(START, status=429))
    assert "counted anew" not in capsys.readouterr().err
    desk.reload(replace(START, **change))
    assert "counted anew" in capsys.readouterr().err


def test_nothing_changed_is_said(desk, capsys):
    desk.reload(START)
    assert "nothing changed" in capsys.readouterr().err
    assert desk.shown == START


def test_a_worker_follows_with_its_next_request_and_keeps_what_it_counted():
    board = Board()
    board.post(START)
    client = Client(Worker(board))

    def statuses(number):
        return [client.get("/?clientId=a").status_code for _ in range(number)]

    assert statuses(2) == [200, 200]
    board.post(replace(TIGHTER, policy=Policy.parse("3 per 5s; 5 per 5s")))
    assert statuses(4) == [200, 200, 200, 503]
    board.post(replace(START, shadow=True, exempt=("/",)))
    answer = client.get("/?clientId=a")
    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers


def test_a_worker_lets_go_of_tables_that_no_policy_has_any_more(shm_name):
    board = Board()
    minute = Policy.parse("5 per 1m")  # longer than a busy machine takes for all this
    located = replace(START, store=f"shm://{shm_name}", policy=minute)
    board.post(located)
    client = Client(Worker(board))
    assert client.get("/?clientId=a").status_code == 200
    for limit in range(10, 30):
        board.post(replace(located, policy=Policy.parse(f"5 per 1m; {limit} per 1m")))
        assert client.get(f"/?clientId={limit}").status_code == 200
    held = Counter(
        link.name
        for line in Path("/proc/self/maps").read_text().splitlines()
        if (link := Path(line.split(maxsplit=5)[-1])).parent.name.endswith(shm_name)
    )
    tables = {name.partition(".")[0] for name in held if name.startswith("sliding-log")}
    assert tables == {"sliding-log-5-60000000000", "sliding-log-29-60000000000"}
    board.post(located)
    assert client.get("/?clientId=a").headers["RateLimit"].startswith('"default";r=3')


def test_a_worker_takes_the_word_of_trusted_proxies_alone():
    board = Board()
    board.post(replace(START, proxies=1, key=KeySpec.parse("ip")))
    client = Client(Worker(board))

    def statuses(address):
        fields = {"X-Forwarded-For": f"spoofed, {address}"}
        return [client.get("/", headers=fields).status_code for _ in range(6)]

    assert statuses("192.0.2.1") == statuses("192.0.2.2") == [200] * 5 + [503]
    board.post(replace(START, key=KeySpec.parse("ip")))
    assert statuses("192.0.2.3") == [200] * 5 + [503]
    assert statuses("192.0.2.4") == [503] * 6
