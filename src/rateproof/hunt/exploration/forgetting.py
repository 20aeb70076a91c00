"""Forgetting: how many other clients a limiter may meet before it forgets one, as far as tried."""

from collections.abc import Sequence
from typing import Final

from rateproof.events import REJECTED, UNKNOWN, EventLog
from rateproof.hunt.exploration.attacks import Attack
from rateproof.hunt.rig import keys_of, rows_of

FIRST_OTHERS: Final = 2_048
"""So many come at the end of the fixed iterations, where the rate allows; after it twice as many, and so on."""

_MOST_OTHERS: Final = 65_536
_DONE: Final = 0.9


class Forgetting:
    """The numbers of other clients that came between two bursts of one.

    `tried` if there were any, `reached` is the most after which a client was still denied, and `next` how many are worth
    trying: twice as many, until the server answers no more in the time there is.
    """

    def __init__(self) -> None:
        self.tried = False
        self.reached = 0
        self.next: int | None = FIRST_OTHERS * 2

    def learn(self, attacks: Sequence[Attack], log: EventLog) -> None:
        """Take in a run whose first clients were those of the attacks, in order."""
        first = 0
        for attack in attacks:
            clients = range(first, first + len(attack.starts))
            first = clients.stop
            intended = attack.recipe.other_clients
            if attack.family != "forget" or not intended:
                continue
            self.tried = True
            keys = keys_of(log, first)[clients.start :]
            windows_ns = attack.edge_ns + attack.recipe.span_ns
            seen = [_between(log, rows, windows_ns) for rows in rows_of(log, keys).values()]
            self.reached = max(self.reached, *seen)
            if intended >= FIRST_OTHERS:
                more = min(2 * intended, _MOST_OTHERS)
                kept_up = max(seen) >= _DONE * intended and more > intended
                self.next = more if kept_up else None


def _between(log: EventLog, rows: Sequence[int], window_ns: int) -> int:
    """Count the clients who had an answer between the bursts of one who was denied after them."""
    sent, received, outcomes = map(log.column, ("sent_ns", "received_ns", "outcome"))
    own = sorted(rows, key=sent.__getitem__)
    quiet, since_ns, until_ns = 0, 0, 0
    ended_ns = None
    for row in own:
        if ended_ns is not None and sent[row] - ended_ns > quiet:
            quiet, since_ns, until_ns = sent[row] - ended_ns, ended_ns, sent[row]
        ended_ns = max(ended_ns or 0, received[row] or sent[row])
    denied = (
        sent[row] >= until_ns and outcomes[row] == REJECTED
        for row in own
        if (received[row] or sent[row]) - sent[own[0]] < window_ns
    )
    if not quiet or not any(denied):
        return 0
    codes, _ = log.codes("key")
    answered = zip(codes, sent, received, outcomes, strict=True)
    others = {
        code
        for code, at_ns, end_ns, outcome in answered
        if at_ns >= since_ns and end_ns is not None and end_ns <= until_ns and outcome != UNKNOWN
    }
    return len(others)
