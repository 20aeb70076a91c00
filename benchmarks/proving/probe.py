"""Runs of `rateproof probe` that are right about limiters whose policy is known."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from statistics import median

from proving.limiters import ALGORITHMS, STRATEGIES, flask_limiter, nginx, our_server
from rateproof.policy import Policy, Quota
from rateproof.probe import Finding, ProbeSettings, probe
from rateproof.units import SECOND_NS

__all__ = ["Probed", "measure", "probe_all"]

_LIMIT = 5
_MOST_REQUESTS = 250
_LONG_S = 5


@dataclass(frozen=True, slots=True)
class Probed:
    """A limiter to probe, and the truth about it."""

    name: str
    start: Callable[[], AbstractContextManager[str]]
    truth: Quota


def targets(seconds: int) -> Iterator[Probed]:
    """Every limiter of the figure, with a limit of 5 in so many seconds."""
    for algorithm in ALGORITHMS:
        policy = f"{algorithm} {_LIMIT} per {seconds}s"
        yield Probed(f"our {algorithm}", partial(our_server, policy), _quota(policy))
    known = ("first-hit-window", "sliding-log", "sliding-counter")
    for strategy, algorithm in zip(STRATEGIES, known, strict=True):
        yield Probed(
            f"Flask-Limiter {strategy}",
            partial(flask_limiter, strategy, _LIMIT, seconds),
            _quota(f"{algorithm} {_LIMIT} per {seconds}s"),
        )
    for delay, name, text in (
        (False, "nginx nodelay", f"token-bucket {_LIMIT} per {seconds}s"),
        (True, "nginx delay", f"leaky-queue {_LIMIT} per {seconds}s burst {_LIMIT - 1}"),
    ):
        start = partial(nginx, _LIMIT, 1000 * seconds, delay=delay)
        yield Probed(name, start, _quota(text))


def _quota(text: str) -> Quota:
    return Policy.parse(text).quotas[0]


def right(finding: Finding, target: Probed) -> bool:
    """Limit and window, and family up to what behaves alike; of a rate, any way to write it."""
    found, truth = finding.quota, target.truth
    if found is None or any(
        kind.quota(delaying=finding.delaying).algorithm != truth.algorithm for kind in finding.kinds
    ):
        return False
    if truth.algorithm in {"token-bucket", "leaky-queue"}:
        same_rate = found.limit * truth.window_ns == truth.limit * found.window_ns
        return same_rate and found.burst == truth.burst
    return found == truth


def probe_all(runs: int, seconds: int, note: Callable[[str], None]) -> dict[str, list[Finding]]:
    """Probe every target so often, with fresh keys each time."""
    found: dict[str, list[Finding]] = {}
    for target in targets(seconds):
        with target.start() as url:
            for run in range(runs):
                settings = ProbeSettings.told(url=url, max_requests=_MOST_REQUESTS)
                finding = probe(settings)
                found.setdefault(target.name, []).append(finding)
                ok = "right" if right(finding, target) else "WRONG"
                kinds = [(kind.family.name, *kind[1:4]) for kind in finding.kinds]
                took_s = finding.elapsed_ns / SECOND_NS
                note(
                    f"{target.name} {run}: {ok} {finding.quota} {finding.requests} requests "
                    f"{took_s:.1f} s" + ("" if ok == "right" else f" {kinds}")
                )
    return found


def measure(rounds: int, *_: int) -> Iterator[dict[str, object]]:
    """Figures of `rounds` runs for each of ten limiters at 1 s, and of one at 5 s."""
    say = partial(print, file=sys.stderr, flush=True)
    for seconds, runs in ((1, rounds), (_LONG_S, 1)):
        found = probe_all(runs, seconds, say)
        truths = {target.name: target for target in targets(seconds)}
        everything = [finding for findings in found.values() for finding in findings]
        hits = {
            name: sum(right(finding, truths[name]) for finding in findings)
            for name, findings in found.items()
        }
        for name, count in hits.items():
            yield _figure(f"probe: {name}, W = {seconds} s: right", count, f"of {runs}")
        percent = 100 * sum(hits.values()) / len(everything)
        yield _figure(f"probe: right, W = {seconds} s", percent, "%", ">= 95")
        requests = [finding.requests for finding in everything]
        took_s = [finding.elapsed_ns / SECOND_NS for finding in everything]
        most = f"<= {_MOST_REQUESTS}"
        yield _figure(f"probe: requests, W = {seconds} s, median", median(requests), "requests")
        yield _figure(f"probe: requests, W = {seconds} s, most", max(requests), "requests", most)
        yield _figure(f"probe: time, W = {seconds} s, median", round(median(took_s), 1), "s")
        wanted = "<= 60" if seconds == _LONG_S else None
        yield _figure(f"probe: time, W = {seconds} s, most", round(max(took_s), 1), "s", wanted)


def _figure(name: str, value: float, unit: str, wanted: str | None = None) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": None,
        "ratio": None,
        "wanted": wanted,
    }
