"""Counts over time: nothing is lost when bins merge, and nothing grows."""

from collections import Counter
from random import Random

import pytest

from rateproof.events import Event, EventLog, derived
from rateproof.hunt.report.rates import BINS, MOST_LABELS, OTHER, Rates


def log_of(rows):
    log = EventLog()
    for sent_ns, status, error in rows:
        answer = None if status is None else sent_ns + 1
        log.append(
            Event(
                key=b"a",
                sent_ns=sent_ns,
                received_ns=answer,
                status=status,
                outcome="unknown",
                error=error,
            )
        )
    return log


@pytest.mark.parametrize("seed", range(20))
def test_every_request_is_counted_in_the_bin_of_its_time(seed):
    rng = Random(seed)
    span_ns = 10 ** rng.randint(1, 14)
    rates, rows = Rates(), []
    for _ in range(rng.randint(1, 4)):
        begin = len(rows) * span_ns
        batch = [
            (
                begin + rng.randrange(span_ns),
                *rng.choice([(200, None), (429, None), (None, "reset")]),
            )
            for _ in range(rng.randint(1, 50))
        ]
        rates.add(log_of(batch))
        rows += batch
    first = rates.origin_ns
    wanted = Counter(
        (str(status or error), max(0, at - first) // rates.width_ns) for at, status, error in rows
    )
    counted = {
        (label, number): round(per_s * rates.width_ns / 1e9)
        for label in rates.totals
        for number, per_s in enumerate(rates.per_s(label))
        if per_s
    }
    assert counted == wanted
    assert rates.used == max(number for _, number in wanted) + 1 <= BINS


def test_an_answer_is_what_its_log_takes_it_for():
    rates = Rates()
    log = log_of([(0, 403, None), (1, 429, None), (2, 200, None), (3, None, "reset")])
    rates.add(derived(log, {403}))
    told = {"403": "rejected", "429": "admitted", "200": "admitted", "reset": "unknown"}
    assert rates.outcomes == told


def test_what_a_log_calls_its_errors_cannot_make_it_grow():
    rates = Rates()
    rates.add(log_of([(at, None, f"error {at}") for at in range(5_000)]))
    rates.add(log_of([(at, 100 + at % 900, None) for at in range(5_000)]))
    assert len(rates.totals) <= MOST_LABELS + 1
    assert sum(rates.totals.values()) == 10_000


def test_a_word_that_a_chart_could_take_for_markup_is_not_shown():
    rates = Rates()
    rates.add(log_of([(0, None, "<b>x</b>"), (1, None, "$$\\x$$"), (2, None, "reset")]))
    assert rates.totals == {OTHER: 2, "reset": 1}


def test_without_requests_there_is_nothing_to_show():
    rates = Rates()
    rates.add(EventLog())
    assert (dict(rates.totals), rates.used) == ({}, 0)
