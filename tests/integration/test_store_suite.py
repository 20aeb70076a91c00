"""The claims on stores: the store of the examples keeps them, and none when it is broken."""

import random
import re
import sqlite3
from pathlib import Path

import pytest

from rateproof import Limiter
from rateproof.errors import StoreUnreachable
from rateproof.testing.schedules import shortest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/enforce/writing-a-store.md"
STORE = (ROOT / "examples/sqlite_store.py").read_text()
(SHOWN,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
CLAIMS = SHOWN.replace("from sqlite_store import SqliteStore\n", "")


def suite_on(store, folder):
    """The class of claims that the page has, on a store of this text."""
    names = {"__name__": "example"}
    exec(store + CLAIMS, names)
    suite = names["TestSqliteStore"]()
    suite.folder = folder
    return suite


exec(STORE + CLAIMS)  # pytest collects TestSqliteStore, as it does where a user has it
TestSqliteStore.schedules, TestSqliteStore.rounds = 3, 50  # noqa: F821


def agrees(suite):
    suite.test_decides_as_the_reference_does(["sliding-log", "fixed-window"])


def never_forgets(suite):
    suite.test_a_crowded_store_refuses_but_never_forgets_or_invents(["sliding-log"])


def loosens_nothing(suite):
    suite.test_a_clock_that_steps_back_loosens_nothing("sliding-counter")


def decides_nothing_closed(suite):
    suite.test_a_closed_store_decides_nothing()


def keeps_its_windows(suite):
    suite.test_never_more_than_the_policy_allows_in_any_window("threads", "sliding-log")


def one_thread_wins(suite):
    suite.test_of_two_hits_at_once_that_do_not_both_fit_one_is_admitted("threads", "5 per day")


def one_process_wins(suite):
    suite.test_of_two_hits_at_once_that_do_not_both_fit_one_is_admitted("processes", "5 per day")


DELETE_ONE = '"DELETE FROM state WHERE quota = ? AND key = ?", (str(quota), key)'
DELETE_ALL = '"DELETE FROM state WHERE quota = ?", (str(quota),)'
EVICT = "DELETE FROM state WHERE rowid NOT IN (SELECT rowid FROM state ORDER BY rowid DESC LIMIT 8)"
PUT = 'database.execute("REPLACE INTO state VALUES (?, ?, ?)", row)'
BREAKS = {
    "peek charges": (agrees, "if admitted and charge:", "if admitted:"),
    "one quota is enough": (agrees, "not any(waits_ns)", "not all(waits_ns)"),
    "a step too early": (agrees, "not any(waits_ns)", "not any(wait > 1 for wait in waits_ns)"),
    "a wait too short": (agrees, "retry_after_ns=wait_ns", "retry_after_ns=max(0, wait_ns - 1)"),
    "a cost counts once": (agrees, "charged(quota, state, now_ns, cost)", "charged(quota, state, now_ns, 1)"),
    "keys are cut": (agrees, "(str(quota), key)\n        ).fetchone()", "(str(quota), key[:1])\n        ).fetchone()"),
    "reset forgets others": (agrees, DELETE_ONE, DELETE_ALL),
    "clear forgets nobody": (agrees, DELETE_ALL, '"SELECT ?", (str(quota),)'),
    "nothing is shared": (agrees, "sqlite3.connect(path", 'sqlite3.connect(":memory:"'),
    "history is evicted": (never_forgets, PUT, f"{PUT}; database.execute({EVICT!r})"),
    "time goes back": (loosens_nothing, "max(now_ns, *(latest_ns for latest_ns, _ in found))", "now_ns"),
    "closing is nothing": (decides_nothing_closed, "            self.database = None\n\n    @", "\n    @"),
    "time runs fast": (keeps_its_windows, "time.monotonic_ns() if", "2 * time.monotonic_ns() if"),
    "threads come between": (one_thread_wins, "        with self.mutex:\n            if self.database is None:", "        if True:\n            if self.database is None:"),
    "processes come between": (one_process_wins, 'self.database.execute("BEGIN IMMEDIATE")', "pass"),
}  # fmt: skip


@pytest.mark.parametrize(("claim", "whole", "broken"), BREAKS.values(), ids=BREAKS)
def test_each_way_to_break_a_store_breaks_the_claim_about_it(claim, whole, broken, tmp_path):
    assert STORE.count(whole) == 1, "the example has changed"
    with pytest.raises((AssertionError, StoreUnreachable, sqlite3.Error)):
        claim(suite_on(STORE.replace(whole, broken), tmp_path))


def test_what_cannot_be_reached_is_left_to_the_limiter(tmp_path):
    """Another process holds the file for longer than the store waits."""
    names = {"__name__": "example"}
    exec(STORE.replace("connect(path, 30,", "connect(path, 0.01,"), names)
    with Limiter(
        "5 per 5s", store=names["SqliteStore"](tmp_path / "a"), on_error="admit"
    ) as limiter:
        with sqlite3.connect(tmp_path / "a", isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert limiter.hit("a").reason == "error"
            other.execute("ROLLBACK")
        other.close()
        assert limiter.hit("a").remaining == 4, "nothing was charged"


def test_a_disagreement_is_told_by_the_shortest_schedule_as_the_page_shows(tmp_path):
    _, whole, broken = BREAKS["peek charges"]
    with pytest.raises(AssertionError) as caught:
        agrees(suite_on(STORE.replace(whole, broken), tmp_path))
    shown = re.findall(r"```\n(E .*?)```", PAGE.read_text(), re.DOTALL)
    said = f"AssertionError: {caught.value}".splitlines()
    assert shown == ["".join(f"E   {line}\n" for line in said)]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_of_a_schedule_is_what_is_needed(seed):
    draw = random.Random(seed)
    steps = range(draw.randint(1, 60))
    needed = sorted(draw.sample(steps, draw.randint(1, min(5, len(steps)))))
    assert shortest(steps, lambda kept: {*needed} <= {*kept}) == needed
