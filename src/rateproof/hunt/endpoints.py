"""Several endpoints, tested one after the other: an answer for each, and the exit code of the worst."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from rateproof.errors import InvalidArgument, Unreachable
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.text import SummaryFile
from rateproof.hunt.report.totals import UNREACHABLE, Totals
from rateproof.hunt.session import rigged, subject_of, tested
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.signals import Signals
from rateproof.output import emit, say
from rateproof.simulate.consent import allow_target

_WORDS: Final = {
    1: "VIOLATED",
    Unreachable.exit_code: UNREACHABLE,
    2: "INCONCLUSIVE",
    0: "CONSISTENT",
}
"""Exit codes of an endpoint, the worst first, and what is said of it."""

_END: Final = 'duration = "1m" in [test], --duration, --iterations or --max-requests'

_NOT_BEGUN: Final = "NOT TESTED: stopped before it began"


class _Result(NamedTuple):
    name: str
    code: int
    answer: str

    def __str__(self) -> str:
        return f"endpoint {self.name}: {self.answer}"


def run_tests(tests: Sequence[TestSettings], reporters: Sequence[Reporter] = ()) -> int:
    """Test endpoints one after the other; one that is not there does not keep the others from it.

    SIGINT and SIGTERM end the test of one in order, and those after it do not begin.

    Returns:
        That of the worst: 1 one was violated or crashed its server, 69 one was not there, 2 one
        was inconclusive or did not begin, 0 all are consistent.

    Raises:
        InvalidArgument: see `run_test`; one has no end. Of every value before any load is sent.
        CannotWrite: see `run_test`.
        KeyboardInterrupt: see `run_test`.
    """
    for each in tests:
        if each.is_endless:
            what = (
                f"endpoint {each.endpoint!r} would be tested until stopped, and no other after it"
            )
            raise InvalidArgument(what, _END)
        rigged(each, threading.Event())
    hosts = {each.target.host: each for each in tests if not each.yes}
    if not all(allow_target(each.target, yes=False) for each in hosts.values()):
        return Totals().exit_code
    for reporter in reporters:
        reporter.plan([subject_of(each) for each in tests])
    # What one endpoint was sent may count at another: keys were unused before the first alone.
    ready = [
        replace(each, yes=True, fresh_keys=each.fresh_keys and not number)
        for number, each in enumerate(tests)
    ]
    results = list(_results(ready, reporters))
    worst = next(code for code in _WORDS if code in {each.code for each in results})
    counts = Counter(each.code for each in results)
    line = f"{_WORDS[worst]}: {counts[worst]} of {len(results)} endpoints"
    told = "\n".join([*map(str, results), line])
    with SummaryFile(tests[0].out) as summary:
        summary.append(told)
    if tests[0].json:
        answers = {each.name: each.answer for each in results}
        emit(json.dumps({"type": "endpoints", "exit_code": worst, "answers": answers}))
    else:
        emit(told, sentences=True)
    return worst


def _results(tests: Sequence[TestSettings], reporters: Sequence[Reporter]) -> Iterator[_Result]:
    stopped = False
    for number, settings in enumerate(tests):
        name, signals = str(settings.endpoint), Signals(threading.Event())
        if stopped:
            yield _Result(name, 2, _NOT_BEGUN)
            continue
        try:
            totals = tested(settings, reporters, signals, handled=True)
        except Unreachable as error:
            say(f"rateproof: error: {error}")
            yield _Result(name, error.exit_code, f"{UNREACHABLE}: {error.message}")
        except KeyboardInterrupt:
            if number == 0:  # there is no verdict at all
                raise
            stopped = True
            yield _Result(name, 2, _NOT_BEGUN)
        else:
            stopped = signals.seen > 0
            yield _Result(name, totals.exit_code, totals.answer[0])
