"""The page of a finding: the policy, what stands behind it, what is left."""

from collections.abc import Iterator
from itertools import groupby

from rateproof.events import declines
from rateproof.output import printable
from rateproof.policy.sliding_log import SLIDING_LOG
from rateproof.probe.budget import Budget, needed_with_key
from rateproof.probe.confirmation import EXCLUDING, PREDICTIONS, Confirmation
from rateproof.probe.course import Round, wanted
from rateproof.probe.families import LAST, UNNAMED
from rateproof.probe.finding import Finding
from rateproof.probe.identity import IN_KEY, NOT_IN_KEY, UNTOLD, UNTRIED, Dimension
from rateproof.probe.inference import Kind
from rateproof.probe.several import Several
from rateproof.probe.standing_keys import BUSY
from rateproof.prove.diagnosis.statuses import if_rejected
from rateproof.units import SECOND_NS, counted, format_duration

_MS_NS = 1_000_000
_REDIRECTS = 300
_NOT_THE_LIMITERS = {401: "needs credentials", 403: "is forbidden", 404: "is not there"}
_WIDTH, _FEW = 14, 3


def describe(finding: Finding) -> str:
    """The policy first, then what stands behind it."""
    lines = [headline(finding), ""]
    for name, texts in (
        ("window", _window(finding)),
        ("predictions", _predictions(finding)),
        ("tried", _tried(finding)),
        ("left", _left(finding)),
        ("counters", _counters(finding)),
        ("key", _key(finding)),
        ("not told apart", _alike(finding)),
        ("headers say", _claims(finding)),
        ("answers", _answers(finding)),
    ):
        lines += [f"{name if not n else '':{_WIDTH}} {text}" for n, text in enumerate(texts)]
    if finding.course.rounds:
        rows = [("admitted", "of so many requests on a fresh key")]
        rows += map(_row, finding.course.rounds)
        width = max(_WIDTH, *(len(counts) for counts, _ in rows))
        lines += ["", *(f"{counts:{width}} {steps}" for counts, steps in rows)]
    took_s = finding.elapsed_ns / SECOND_NS
    return "\n".join([*lines, "", f"{finding.requests} requests in {took_s:.1f} s"])


def headline(finding: Finding) -> str:
    """Say in one line what it is, or what is known of it."""
    if finding.shared and not finding.inferred:
        return f"{_shared(finding)}: which it is could not be told"
    if several := finding.course.several:
        if several.sticky:
            return f"several counters, at least {several.counters}: which one is met goes by the connection"
        return f"several counters, together {_together(several)}: each request meets any of them"
    if finding.named:
        return _named(finding.named, finding)
    if finding.kinds and finding.kinds[0].family not in LAST:
        return f"not named: about {_named(finding.kinds[0], finding)}{_why_not(finding)}"
    return _unexplained(finding)


def _why_not(finding: Finding) -> str:
    """Say what is missing to a name."""
    others = len({kind.family for kind in finding.kinds[1:]})
    if finding.course.surprises:
        return ", but predictions were wrong"
    if others:
        return f", or {others} other {'family' if others == 1 else 'families'}"
    return _lacking(finding.course.proof, finding.kinds[0])


def _lacking(proof: Confirmation | None, kind: Kind) -> str:
    """Say what a proof lacks; nothing where the window is hardly known."""
    if proof and proof.done:
        return ", but the window is not known closely enough"
    if not kind.close:
        return ""
    if proof is None or proof.true < PREDICTIONS:
        return ", but too few predictions could be made"
    if proof.open:
        return f", but too few keys speak against {'; '.join(each.name for each in proof.open)}"
    return ", but too few keys were asked just before and after they come back"


def _unexplained(finding: Finding) -> str:
    """Say what was seen, where no policy explains it."""
    course = finding.course
    if course.hypotheses is not None:
        told = [kind for kind in finding.kinds[:1] if kind.close]
        such = "".join(f", such as {_named(kind, finding)}" for kind in told)
        return f"not named: {course.limit} at once, by a rule that is not known here{such}"
    if course.limit and not course.held_ns:
        return (
            f"{course.limit} at once: too little of the budget was left to see when they are back"
        )
    if course.limit:
        return (
            f"{course.limit} at once, and none for the next {course.held_ns / SECOND_NS:.3g} s: "
            "the window is longer than that"
        )
    if course.keys[-1:] and course.keys[-1] and not course.keys[-1][0].admitted:
        return "every request was denied: by something other than the key, or a limit used up"
    statuses = sorted(status for status in finding.statuses if status is not None)
    if statuses and statuses[0] >= _REDIRECTS:
        answers = " or ".join(map(str, statuses))
        return f"no limit seen in {finding.requests} requests: every answer was {answers}"
    return f"no limit seen up to {counted(finding.reach.admitted, 'admission')} of a key"


def _named(kind: Kind, finding: Finding) -> str:
    """The policy, the family where that says more, and how closely the window is known."""
    more = f": for {_between(*kind.block_ns)}" if kind.block_ns else ""
    if kind.beside:
        least, most, low_ns, high_ns = kind.beside
        more = f": {least} to {most} in {_between(low_ns, high_ns)}"
    apart = "" if kind.family.plain else f" ({kind.family.name}{more})"
    figure = kind.figure
    off = "" if figure.round else f" (± {_rounded_up(figure.error_ns)})"
    return f"{kind.quota(delaying=finding.delaying)}{apart}{off}"


def _rounded_up(duration_ns: int) -> str:
    """Two digits of it, as people write it."""
    step: int = 10 ** max(0, len(str(duration_ns)) - 2)
    rounded_ns = -(-duration_ns // step) * step
    if rounded_ns >= SECOND_NS:
        return f"{rounded_ns / SECOND_NS:g} s"
    return f"{rounded_ns / _MS_NS:g} ms"


def _between(low_ns: int, high_ns: int) -> str:
    """Two bounds in seconds."""
    return f"{low_ns / SECOND_NS:.4g} s to {high_ns / SECOND_NS:.4g} s"


def _together(several: Several) -> str:
    """Say what they admit, as far as it is known."""
    about = "" if several.again == several.together else "about "
    if (
        window := several.window
    ) is None or not window.round:  # it may be one of a clock, cut short
        return f"{about}{several.together} at once"
    return f"{about}{several.together} per {format_duration(window.window_ns)}"


def _window(finding: Finding) -> Iterator[str]:
    course = finding.course
    if several := course.several:
        if several.high_ns is None:
            yield (
                f"longer than {several.low_ns / SECOND_NS:.4g} s" if several.low_ns else "not known"
            )
        elif several.window:
            yield f"from {_between(several.low_ns, several.high_ns)}"
        else:
            again = _between(several.low_ns, several.high_ns)
            yield f"not known: the first was admitted again after {again}"
    elif not finding.kinds and course.back_ns:
        again = _between(course.held_ns, course.back_ns)
        yield f"not known: the first key was admitted again after {again}"
    for kind in finding.kinds[:1]:
        what = "one token in" if kind.family.refills else "from"
        yield f"{what} {_between(*kind.bounds_ns)}"


def _predictions(finding: Finding) -> Iterator[str]:
    """Say which came true, and what they speak against."""
    if (proof := finding.course.proof) is None or not finding.kinds:
        if finding.course.surprises:
            yield f"{finding.course.surprises} wrong"
        return
    wrong = f", {finding.course.surprises} before were wrong" if finding.course.surprises else ""
    yield f"{proof.true} of {proof.true} on {counted(proof.keys, 'key')} came true{wrong}"
    against = [family.name for family, keys in proof.excluded.items() if keys >= EXCLUDING]
    if against:
        yield f"at least {EXCLUDING} keys each speak against {'; '.join(against)}"


def _tried(finding: Finding) -> Iterator[str]:
    if not finding.kinds:
        return
    reach = finding.reach
    watched_s, idle_s = reach.watched_ns / SECOND_NS, reach.idle_ns / SECOND_NS
    yield (
        f"to {reach.requests} requests and {counted(reach.denied, 'denial')} of a key "
        f"({reach.denied_together} in one window), in up to {watched_s:.3g} s, idle for up to {idle_s:.3g} s"
    )
    if not finding.kinds[0].family.refills:
        yield f"when a full key is back: {counted(reach.returns, 'time')} in a row"
    yield f"a second quota behind it: {second_quota(finding)}"
    if not finding.course.shared:
        within_s = finding.kinds[0].least_ns / SECOND_NS
        together = counted(reach.together, "admission")
        yield f"a limit on all keys together: none up to {together} in {within_s:.3g} s, on {counted(reach.keys, 'key')} at once"


def second_quota(finding: Finding) -> str:
    """Say how far a wider limit was looked for."""
    reach = finding.reach
    if reach.admitted < BUSY * finding.course.limit:
        return "not tried"
    within_s = reach.admitted_ns / SECOND_NS
    return f"none up to {reach.admitted} admissions of a key in {within_s:.3g} s"


def _left(finding: Finding) -> Iterator[str]:
    """Say what may be it where nothing is named, and what would tell."""
    if finding.named or finding.course.several or not finding.course.limit:
        return
    for kind in finding.kinds:
        yield f"{_named(kind, finding)}, {_between(*kind.bounds_ns)}"
    yield f"{finding.course.limit} by a rule that is not known here"
    yield would_tell(finding)


def would_tell(finding: Finding) -> str:
    """The budget with which a name can be expected, or that none helps."""
    if finding.named or finding.course.several or not finding.course.limit:
        return ""
    if finding.kinds and finding.kinds[0].family in UNNAMED:
        return (
            "a larger budget would tell no more: a log beside a bucket and a window from the "
            "first request admit the same on 19 keys of 20, so it is not confirmed which it is"
        )
    if finding.kinds and finding.kinds[0].strained:
        return (
            "this rule explains all answers only for a window that is known better than answers "
            "can tell, so it is hardly the rule: a larger budget would tell no more"
        )
    known = any(kind.close or kind.family not in LAST for kind in finding.kinds)
    if finding.course.hypotheses is not None and not known:
        return "no rule that is known here explains all answers: a larger budget would tell no more"
    spent = Budget(finding.requests, finding.elapsed_ns)
    more = wanted(finding.course, finding.budget, spent)
    if more != finding.budget:
        seconds = -(-more.time_ns // SECOND_NS)
        return f"more would be told by --max-requests {more.requests} --max-time {seconds}s"
    return "more would be told by another run, with fresh phases, on a quieter line"


def _counters(finding: Finding) -> Iterator[str]:
    if several := finding.course.several:
        yield (
            f"at least {several.counters} independent ones: one key was admitted {several.together} "
            f"times, another {several.each} before its first denial"
        )
    elif finding.course.one_counter:
        course = finding.course
        yield (
            f"one, as far as seen: {course.alone} admitted on one connection, "
            f"and no more on {course.connections} at once"
        )
    elif finding.kinds and not finding.delaying:
        yield "not told: no key was filled on one connection, or one was admitted more on many"


def _key(finding: Finding) -> Iterator[str]:
    if finding.course.several:
        yield "not looked for: it takes one counter"
    within = [each.name for each in finding.dimensions if each.verdict == IN_KEY]
    without = [each.name for each in finding.dimensions if each.verdict == NOT_IN_KEY]
    if finding.shared:
        yield f"{_shared(finding)}: not by {finding.key}"
    elif finding.key in without:
        by = f"by {' and '.join(within)}, " if within else ""
        yield f"limits {by}not by {finding.key}"
    elif within:
        yield f"limits by {', '.join(within)} (or does not limit there)"
    if others := [name for name in without if name != finding.key]:
        yield f"not by {', '.join(others)}"
    if untold := [each.name for each in finding.dimensions if each.verdict == UNTOLD]:
        yield f"could not be told: {', '.join(untold)}"
    if untried := [each.name for each in finding.dimensions if each.verdict == UNTRIED]:
        most = min(finding.budget.requests, needed_with_key(finding.course.limit))
        yield f"not tried beyond {most} requests in all: {', '.join(untried)}"


def _shared(finding: Finding) -> str:
    """From one address alone, a limit by address looks the same."""
    varied = any(each == Dimension("address", NOT_IN_KEY) for each in finding.dimensions)
    return f"the limit seems to be shared by all clients{'' if varied else ', or by all of one address'}"


def _alike(finding: Finding) -> Iterator[str]:
    if several := finding.course.several:
        yield f"how many counters there are, and the limit of each: at most {several.each}"
        yield "the algorithm; windows of a clock may be longer"
    for kind in finding.kinds[1:] if finding.named else ():
        yield f"{_named(kind, finding)}: it would have answered the same"
    if others := [
        name for name in finding.alike if name not in {each.family.name for each in finding.kinds}
    ]:
        yield f"as closely as answers tell: {'; '.join(others)}"
    if finding.named:
        yield from _varying(finding.named, finding.varies_ns)
    for kind in finding.kinds[:1]:
        if kind.family.alike and not finding.delaying:
            yield kind.family.alike


def _varying(kind: Kind, varies_ns: int | None) -> Iterator[str]:
    """Say what may vary, and by how much."""
    if kind.weighs:
        apart = (
            f"{_rounded_up(varies_ns)} apart or less" if varies_ns else "it is not known how often"
        )
        yield f"a clock that ticks, {apart}, and a window that is shorter or longer by less than a tick"
    elif kind.on_clock:
        windows = "windows" if kind.at_once else "blocks"
        late = (
            f"up to {_rounded_up(varies_ns)} late"
            if varies_ns
            else "late, it is not known how much"
        )
        yield f"{windows} of a clock that begin {late}, each by another time"
    elif varies_ns:
        blocks = "blocks" if kind.family.record is SLIDING_LOG else "ticks of a clock"
        most = _rounded_up(varies_ns)
        yield f"{blocks} of {most} or less of a window that is shorter or longer by up to as much"
        yield f"a window that varies by up to {most}, by chance or with what was denied"


def _claims(finding: Finding) -> Iterator[str]:
    for name, value in finding.hello.claims.items():
        yield f"{printable(name)}: {printable(value)} (not relied on)"


def _answers(finding: Finding) -> Iterator[str]:
    statuses = {status for status in finding.statuses if status is not None}
    for status in sorted(statuses - finding.rejected_statuses):
        if 300 <= status < 400:
            location = printable(finding.hello.location)
            to = f" to {location}" if location else ""
            yield f"{counted(finding.statuses[status], 'redirect')}{to} ({status})"
        elif status in _NOT_THE_LIMITERS:
            answers = counted(finding.statuses[status], "answer")
            yield f"{answers} said that this {_NOT_THE_LIMITERS[status]} ({status})"
        elif status >= 500:
            errors = counted(finding.statuses[status], "error")
            yield f"{errors} of the server ({status})"
    if None in finding.statuses:
        yield f"{counted(finding.statuses[None], 'request')} got no answer"
    declining = set(filter(declines, statuses))
    if declining < statuses and finding.rejected_statuses.isdisjoint(statuses) and declining:
        yield if_rejected(declining)


def _row(tried: Round) -> tuple[str, str]:
    """The admissions, and the requests that got them; of many alike in a row the first and the last."""
    if len(tried.admitted) != len(tried.steps):  # some went out so late that they are one
        return ", ".join(map(str, tried.admitted)), ", ".join(_step(*step) for step in tried.steps)
    counts, steps = list[str](), list[str]()
    each = zip(tried.admitted, tried.steps, strict=True)
    for (admitted, _), alike in groupby(each, key=lambda one: (one[0], one[1][1])):
        row = [_step(*step) for _, step in alike]
        many = len(row) > _FEW
        counts += [f"{len(row)} x {admitted}"] if many else [str(admitted)] * len(row)
        steps += [f"{row[0]} to {row[-1].partition(' at ')[2]}"] if many else row
    return ", ".join(counts), ", ".join(steps)


def _step(at_ns: int, count: int) -> str:
    return f"{count} at {format_duration(round(at_ns / _MS_NS) * _MS_NS)}"
