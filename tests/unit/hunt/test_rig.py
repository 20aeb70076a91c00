"""The rig: a wrong address is said at the first answers, and not where it was told to be right."""

import threading

import pytest

from rateproof.events import Event, EventLog
from rateproof.hunt import settings as hunt_settings
from rateproof.hunt.exploration.pace import SOUNDING, SOUNDING_NS
from rateproof.hunt.rig import Rig
from rateproof.policy import Policy

POLICY = Policy.parse("5 per 5s")
URL = "http://127.0.0.1:1/lgin"


def answering(*statuses):
    """A transport whose requests are answered so, each in a part of the log of its own."""

    def send(_scenario, *, observe, **_):
        for number, status in enumerate(statuses):
            part = EventLog()
            received_ns = None if status is None else number + 1
            outcome = {None: "unknown", 429: "rejected"}.get(status, "admitted")
            part.append(
                Event(
                    key=b"a", sent_ns=number, received_ns=received_ns, done_ns=number + 1,
                    status=status, outcome=outcome,
                )
            )  # fmt: skip
            observe(part)
        return EventLog()

    return send


def said_of(capsys, *statuses, **told):
    settings = hunt_settings.TestSettings.told(url=URL, policy=POLICY, **told)
    rig = Rig(settings, answering(*statuses), threading.Event())
    for _ in range(2):
        rig.send(rig.scenario((SOUNDING,), SOUNDING_NS))
    return capsys.readouterr().err


@pytest.mark.parametrize("statuses", [(404,), (None, 404, 200)])
def test_a_wrong_address_is_said_once_at_the_first_answer(capsys, statuses):
    said = said_of(capsys, *statuses)
    assert said == (
        f"warning: {URL}: so far every answer was 404 (Not Found): there is nothing at that "
        "address; if that is what lies behind the limiter: --admitted 404\n"
    )


@pytest.mark.parametrize("statuses", [(200, 404), (429, 404), (500, 404), (None,)])
def test_other_first_answers_tell_of_no_wrong_address(capsys, statuses):
    assert said_of(capsys, *statuses) == ""


@pytest.mark.parametrize("told", ["admitted_statuses", "rejected_statuses"])
def test_a_status_that_is_named_is_no_wrong_address(capsys, told):
    assert said_of(capsys, 404, **{told: frozenset({404})}) == ""
