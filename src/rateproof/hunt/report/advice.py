"""Meaning of a finding and its remedy: a paragraph for each cause that the evidence points to."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.worst.growth import CONSTANT
from rateproof.policy.first_hit_window import FIRST_HIT_WINDOW
from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.prove import INCONCLUSIVE, OVER_ADMISSION, VIOLATED, WRONG_REJECTION, Evidence
from rateproof.prove.diagnosis.hypotheses import Diagnosis


class Advice(NamedTuple):
    """A cause, and the remedy for it."""

    title: str
    text: str


_COUNTERS: Final = Advice(
    "Several counters",
    "Each worker, process or connection counts for itself, so the limit is multiplied by their "
    "number. Let all of them count in one place: a store that they share, such as shared memory on "
    "one machine or Redis across machines. One worker helps only until there are two.",
)
_SEVERAL: Final = Advice(
    "Several counters, or a higher limit",
    "First compare the limit that is set with the one that was tested: a counter with a higher one "
    f"lets as much through. If they are the same: {_COUNTERS.text[0].lower()}{_COUNTERS.text[1:]}",
)
_TOGETHER: Final = Advice(
    "Requests that come together",
    "Requests sent at once on several connections were let through together: either each worker "
    "counts for itself, or the limiter reads its counter before it writes it. Let all workers count "
    "in one shared store, and decide and count in one step: under a lock, or in one script of the "
    "store.",
)
_WINDOWS: Final = Advice(
    "It counts window by window",
    "Requests late in one window and early in the next count against different windows, or the "
    "earlier ones are only estimated, so up to twice the limit passes around the boundary. A sliding "
    "log (in some libraries: moving window) counts the requests of the last window exactly. If twice "
    "the limit for a moment is acceptable, promise and test what the limiter does: "
    f"--policy '{FIXED_WINDOW.name} 5 per 5s' with your figures, or '{FIRST_HIT_WINDOW.name} 5 per 5s' "
    "where a client's first request opens its window (rateproof probe tells which).",
)
_BUCKET: Final = Advice(
    "A bucket that refills meanwhile",
    "The limiter admits a full burst and, while that still counts, gives back permits one by one: "
    "in one window up to burst and rate together. Take a sliding log if the number in any window is "
    "the promise; or make burst and rate together as large as what is promised; or promise the "
    f"bucket: --policy '{TOKEN_BUCKET.name} 5 per 5s' with your figures.",
)
_FORGETS: Final = Advice(
    "A store that forgets clients",
    "Other clients' requests made the limiter forget this one, which then had its whole limit again. "
    "Its store has room for too few clients, or throws live counters away. Give it more room than "
    "there are clients in one window, or take a store that refuses when it is full instead of "
    "forgetting.",
)
_MORE: Final = Advice(
    "More than promised",
    "The usual causes: windows that begin anew (take a sliding log), workers that count for "
    "themselves (share one store), a bucket that refills while its burst still counts, and a store "
    "that forgets clients. Run rateproof test against the server: the shortest schedule that it "
    "finds tells them apart.",
)
_REJECTED: Final = Advice(
    "Rejected without need",
    "Clients were rejected while the policy had room for them. The usual causes: denied requests use "
    "up the limit too (then test with --count-denied), several clients share one counter, a second "
    "limit that was not declared, or a window longer than promised.",
)
_HEADERS: Final = Advice(
    "Headers that do not come true",
    "Retry-After, RateLimit or their kin said something that later answers contradicted. Compute them "
    "from the same counter and the same instant as the decision, and round the time to wait up, "
    "never down.",
)
_CRASHED: Final = Advice(
    "The server crashed",
    "Under this traffic the server or one of its workers stopped answering. Until that is mended, "
    "nothing can be relied on: the log and the schedule above repeat it.",
)
_UNTESTED: Final = Advice(
    "Not tested",
    "What is named above was not pressed far enough for an excess to show. Let the test go on for "
    "longer (--duration, --iterations, --outer-time), allow more load (--max-rate), or accept it with "
    "--allow-untested.",
)
_BY_DIAGNOSIS: Final = {
    Diagnosis.NO_LIMIT: Advice(
        "No limit at all",
        "Nothing was ever rejected. Look whether the limiter is installed on this path and method, "
        "whether it is switched on in this environment, and whether it reads the client from where "
        "--key puts it.",
    ),
    Diagnosis.OTHER_KEY: Advice(
        "Another key",
        "The limiter tells clients apart by something else than the test does, such as the address. "
        "Give --key what it reads (such as --key header:NAME), or let it read what identifies a "
        "client. Behind a proxy every client may have the proxy's address.",
    ),
    Diagnosis.OTHER_STATUS: Advice(
        "Another status for a rejection",
        "The target seems to reject with a status that was not taken for a rejection. Name it with "
        "--rejected and test again.",
    ),
    Diagnosis.OWN_LIMIT_PER_CONNECTION: _COUNTERS,
    Diagnosis.SEVERAL_COUNTERS: _SEVERAL,
    Diagnosis.NOTHING_ADMITTED: Advice(
        "Nothing was admitted",
        "Without one admitted request no limit shows. Look at the answers below: a wrong path, a "
        "missing login, or a server that is down.",
    ),
    Diagnosis.ONLY_ELSEWHERE: Advice(
        "The limiter was not reached",
        "Every answer came from something before the limiter or beside it. Correct the path or add "
        "the login (-H), or bring clients that the server knows (--keys); if these answers are what lies behind the limiter, say so with --admitted.",
    ),
}


def advice(totals: Totals) -> list[Advice]:
    """Return a paragraph for each cause, the surest first; none for what simply holds."""
    return list(dict.fromkeys(_advice(totals)))


def _advice(totals: Totals) -> Iterator[Advice]:
    verdict = totals.combined
    known = [_BY_DIAGNOSIS[name] for name in verdict.diagnosis if name in _BY_DIAGNOSIS]
    yield from known
    pieces = {piece.claim: piece for piece in reversed(verdict.evidence)}
    over = pieces.get(OVER_ADMISSION)
    if over is not None:
        again = [each for each in totals.reproductions if each.tries.accepted]
        recipes = [each.recipe for each in again if each.kind == OVER_ADMISSION]
        shown = [_by_recipe(recipe, over) for recipe in recipes if recipe is not None]
        if Diagnosis.NO_LIMIT in verdict.diagnosis:  # there is nothing that lets too many through
            shown = []
        yield from shown or ([] if known else [_MORE])
        grown = [worst for worst in totals.worst if worst.growth not in ("", CONSTANT)]
        if any(worst.recipe.others for worst in grown):
            yield _FORGETS
    if WRONG_REJECTION in pieces:
        yield _REJECTED
    if verdict.outcome == VIOLATED and not pieces:
        yield _HEADERS
    if totals.crashes:
        yield _CRASHED
    if verdict.outcome == INCONCLUSIVE and (verdict.untested or totals.untried) and not known:
        yield _UNTESTED


def _by_recipe(recipe: Recipe, evidence: Evidence) -> Advice:
    """Return what the shortest schedule points to: nothing that it needs can be left out."""
    if recipe.others is not None:
        return _FORGETS
    if recipe.connections > 1:
        return _TOGETHER
    (first_ns, burst), *_ = recipe.schedule.steps
    last_ns = recipe.schedule.steps[-1][0]
    if last_ns == first_ns:
        return _SEVERAL
    refill_ns = evidence.window_ns // max(1, evidence.allowed)
    refilled = last_ns - first_ns <= refill_ns * 3 // 2
    return _BUCKET if burst >= evidence.allowed and refilled else _WINDOWS
