"""A sender takes for a queue only delays that grow with the backlog, on one key after another."""

import pytest

from rateproof.events import Event, EventLog
from rateproof.keyspec import KeySpec
from rateproof.probe.sender import HttpSender
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.scenario import Group, Scenario
from rateproof.simulate.target import Target

MS = 1_000_000
QUICK, SLOW, QUEUED = [1] * 8, [1, 1, 1, 90, 90, 1, 1, 1], [1 + 50 * n for n in range(8)]


def _sender(*keys):
    """Answers to one key after another take so many ms."""
    told = iter(keys)

    def transport(_scenario, *, control, observe=None):
        del control  # what it would stop is over
        log = EventLog()
        for number, ms in enumerate(next(told)):
            sent_ns = 1_000 * MS * number
            log.append(
                Event(
                    key=b"a",
                    sent_ns=sent_ns,
                    received_ns=sent_ns + ms * MS,
                    status=200,
                    outcome="admitted",
                )
            )
        if observe:
            observe(log)
        return log

    groups = (Group(Schedule(((0, 1),))),)
    target = Target.parse("http://192.0.2.1/")
    key = KeySpec.parse("query:clientId").writable
    return HttpSender(Scenario(target=target, groups=groups, key=key), transport)


@pytest.mark.parametrize(
    ("first", "second", "third", "delaying"),
    [
        (QUEUED, QUEUED, QUEUED, True),
        (QUEUED, QUEUED, SLOW, False),
        (QUEUED, QUICK, QUEUED, False),
        (SLOW, QUICK, QUICK, False),
        (SLOW, SLOW, SLOW, False),
        (QUICK, QUEUED, QUEUED, False),
    ],
)
def test_a_queue_is_one_whose_delays_grow_on_two_more_keys(first, second, third, delaying):
    """Two slow answers, or one key that waits, change nothing."""
    sender = _sender(first, second, third)
    sender.search(16, ())
    assert sender.delaying == delaying


def test_a_schedule_goes_on_with_the_key_of_an_earlier_one():
    """Each is a client of its own, with the identity of that key."""
    sent = []

    def transport(scenario, *, control, observe):
        del control, observe
        log = EventLog()
        for number, client in enumerate(scenario.clients()):
            sent.append(client.written())
            for at_ns, _ in client.group.behaviour.steps:
                log.append(
                    Event(
                        key=client.identity(),
                        sent_ns=at_ns,
                        received_ns=at_ns + MS,
                        status=200 + number,
                        outcome="admitted",
                    )
                )
        return log

    groups = (Group(Schedule(((0, 1),))),)
    key = KeySpec.parse("query:clientId").writable
    target = Target.parse("http://192.0.2.1/")
    sender = HttpSender(Scenario(target=target, groups=groups, key=key), transport)
    once, twice = ((0, 1),), ((0, 1), (5_000 * MS, 1))
    sender.send([once, once], 0)
    answers = sender.send([once, twice, once], 0, [None, 0, 1])
    assert [len(history) for history in answers] == [1, 2, 1]
    assert sent[3:] == sent[:2]
    sender.send([twice], 0, [2])
    assert sent[5] == sent[2]
    assert len(set(sent)) == 3
    hit = sender.hitter(fresh=True)
    hit(1, 0, 1)
    sender.keep(hit)
    sender.send([once, once], 0, [3, None])
    assert sent[6] == sent[7]
    assert len(set(sent)) == 5


def test_the_most_requests_a_second_hold_from_one_run_to_the_next():
    """Each run has slots of its own, the first at once."""
    begun = []

    def transport(scenario, *, control, observe):
        del control, observe
        begun.append(scenario.start_ns)
        sent_ns = scenario.start_ns + 1_000 * MS  # its second and last
        log = EventLog()
        log.append(
            Event(
                key=b"a",
                sent_ns=sent_ns,
                received_ns=sent_ns + MS,
                status=200,
                outcome="admitted",
            )
        )
        return log

    groups = (Group(Schedule(((0, 1),))),)
    key = KeySpec.parse("query:clientId").writable
    target = Target.parse("http://192.0.2.1/")
    sender = HttpSender(Scenario(target=target, groups=groups, key=key, max_rate=1), transport)
    hit = sender.hitter(fresh=True)
    for at_ns in (0, 0, 9_000 * MS):
        hit(2, at_ns, 2)
    assert begun == [0, 2_000 * MS, 9_000 * MS]
