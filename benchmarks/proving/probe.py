"""Runs of `rateproof probe` that are right about limiters whose policy is known."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from proving.limiters import ALGORITHMS, STRATEGIES, flask_limiter, nginx, our_server
from rateproof.policy import Policy, Quota
from rateproof.probe import Finding, ProbeSettings, probe
from rateproof.units import SECOND_NS

__all__ = ["Probed", "probe_real"]

_LIMIT = 5


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
    """Limit and family are as they are, and the window, or the time of a token, is within the bounds that are named."""
    kind, found, truth = finding.named, finding.quota, target.truth
    if kind is None or found is None or found.algorithm != truth.algorithm:
        return False
    refills = kind.family.refills
    same = found.burst == truth.burst if refills else found.limit == truth.limit
    window_ns = truth.window_ns // (truth.limit if refills else 1)
    return same and kind.low_ns <= window_ns <= kind.high_ns


def probe_real(runs: int, note: Callable[[str], object]) -> Iterator[tuple[bool, bool]]:
    """Probe every target in turn, so many runs in all, with fresh keys each: was it named, and wrongly?"""
    every = list(targets(1))
    for number, target in enumerate(every):
        with target.start() as url:
            for run in range(runs // len(every) + (number < runs % len(every))):
                finding = probe(ProbeSettings.told(url=url))
                wrong = finding.inferred and not right(finding, target)
                verdict = "WRONG" if wrong else "named" if finding.inferred else "silent"
                took_s = finding.elapsed_ns / SECOND_NS
                note(
                    f"{target.name} {run}: {verdict} {finding.quota} "
                    f"{finding.requests} requests {took_s:.1f} s"
                )
                yield finding.inferred, wrong
