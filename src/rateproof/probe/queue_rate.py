"""The rate of a leaky queue: what it admits waits, the longer the more are before it."""

from rateproof.probe.budget import Spending
from rateproof.probe.confirmation import PREDICTIONS, Confirmation
from rateproof.probe.course import SURPRISES, Course
from rateproof.probe.families import FAMILIES
from rateproof.probe.inference import Hypotheses, Recovery
from rateproof.probe.seen import Box
from rateproof.probe.sending import Sender

_DELAY_SLACK_NS = 60_000_000
_LEAST_QUEUE, _QUEUED, _WIDEST = 2, 16, 256
_KEYS = 4  # that are foretold: of so many the last answer is not late each time
_LATER = 4  # times an answer that waits for nothing


def find_rate(sender: Sender, course: Course, spending: Spending) -> None:
    """The rate of a queue, from how long the last of a burst waits; then more bursts, foretold."""
    width, waited, denied = _QUEUED, list[int](), 0
    while not denied and width <= min(_WIDEST, spending.left):
        waited, denied = sender.waits(width)
        width *= 4
    course.limit = course.burst = len(waited)
    if not denied or course.limit < _LEAST_QUEUE:
        return
    # The last of them waited for all tokens but one, and a little for everything else.
    tokens, last_ns = course.limit - 1, waited[-1]
    low_ns = (last_ns - min(_DELAY_SLACK_NS, last_ns // 4)) // tokens
    high_ns = (last_ns + _DELAY_SLACK_NS // 4) // tokens
    family = next(each for each in FAMILIES if each.refills and each.plain)
    found = Hypotheses(Recovery(course.limit, 0, 0, low_ns, high_ns), high_ns, ())
    found.boxes[family] = [Box(course.limit, low_ns, high_ns)]
    course.hypotheses, proof = found, Confirmation((family, course.limit))
    firsts_ns, lasts_ns = [waited[0]], [last_ns]
    while (proof.true < PREDICTIONS or proof.keys < _KEYS) and spending.left >= course.limit + 2:
        waited, denied = sender.waits(course.limit + 2)
        right = len(waited) == course.limit and all(
            number * low_ns - _DELAY_SLACK_NS <= wait_ns <= number * high_ns + _DELAY_SLACK_NS
            for number, wait_ns in enumerate(waited)
        )
        if not right:
            course.surprises = SURPRISES
            return
        firsts_ns.append(waited[0])
        lasts_ns.append(waited[-1])
        proof.true += course.limit
        proof.keys += 1
    if proof.keys >= _KEYS:
        # The least late of several is hardly later than an answer that waits for nothing.
        late_ns = min(_DELAY_SLACK_NS, max(_DELAY_SLACK_NS // 4, _LATER * min(firsts_ns)))
        low_ns = max(low_ns, (min(lasts_ns) - late_ns) // tokens)
        high_ns = min(high_ns, (min(lasts_ns) + _DELAY_SLACK_NS // 4) // tokens)
        found.boxes[family] = [Box(course.limit, low_ns, high_ns)]
    # A delay that grows with the backlog on two keys is what a queue has to stand.
    proof.stood = proof.closely = proof.keys >= 2
    course.proof = proof
