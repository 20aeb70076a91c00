"""Contents of a limited answer: header fields, and the body of a denial.

Sources: draft-ietf-httpapi-ratelimit-headers-11 (fields and problem types),
RFC 9651 (their syntax), RFC 9110 (Retry-After, Accept), RFC 9457 (problem+json).
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import AnyStr, Final, NamedTuple

from rateproof.enforce.decision import Decision, QuotaState
from rateproof.enforce.http.validation import checked_name
from rateproof.policy import Policy
from rateproof.units import SECOND_NS

Fields = list[tuple[str, str]]

_PROBLEMS = "https://iana.org/assignments/http-problem-types#"
_UNAVAILABLE = 503
_LONGEST = 256
"""Characters of an Accept that is remembered: clients choose it, and memory is bounded."""

_LISTS: Final = {"ratelimit", "ratelimit-policy", b"ratelimit", b"ratelimit-policy"}
_OLDER = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
_KEPT: Final = {*_OLDER, *map(str.encode, _OLDER)}


class Announcement(NamedTuple):
    """The names of a policy's quotas, the quotas as text, and the value of RateLimit-Policy."""

    names: tuple[str, ...]
    quotas: tuple[str, ...]
    policy: str


@lru_cache(1024)
def announcement(policy: Policy, name: str = "default") -> Announcement:
    """The announcement of a policy, such as `"default";q=5;w=5`.

    A quota that stands alone has the name of the policy. Several are called by
    their text, after the name unless that is `default`: `outer-5-per-5s`.

    `q` is how many requests can pass at once and `w` in how many seconds that
    many are free again: limit and window, and of a token bucket its burst and
    the time in which it fills, so that q/w is its rate. What is not whole
    seconds is rounded up: a client that trusts it is never too fast.

    A quota that occurs twice gets a number, for names must differ. They are
    letters, digits, hyphens, dots and underscores.

    Raises:
        InvalidArgument: the name has others.
    """
    before = "" if checked_name(name) == "default" else f"{name}-"
    quotas = tuple(map(str, policy.quotas))
    names: list[str] = []
    for text in quotas:
        called = before + text.replace(" ", "-")
        names.append(f"{called}-{len(names) + 1}" if called in names else called)
    if len(names) == 1:
        names = [name]
    field = ", ".join(
        f'"{called}";q={quota.burst};w={_ratio_up(quota.burst * quota.window_ns, quota.limit)}'
        for called, quota in zip(names, policy.quotas, strict=True)
    )
    return Announcement(tuple(names), quotas, field)


def limit_fields(decision: Decision, announced: Announcement) -> Fields:
    """RateLimit-Policy and RateLimit, for every answer that a limiter decided about.

    In RateLimit, `r` is how many requests remain and `t` a number of seconds,
    rounded up: for a quota that denies, until a request can pass again; for
    any other, until the whole quota is free. In shadow mode they say what would
    have been denied. Where the limiter knows nothing, RateLimit is left out, and
    for a key that is exempt both are.
    """
    reason = decision.reason
    if reason == "exempt":
        return []
    if reason == "error":
        return [("RateLimit-Policy", announced.policy)]
    states = ", ".join(
        [
            f'"{name}";r={state.remaining};t={_effective_s(state)}'
            for name, state in zip(announced.names, decision.quotas, strict=True)
        ]
    )
    return [("RateLimit-Policy", announced.policy), ("RateLimit", states)]


def x_ratelimit_fields(decision: Decision) -> Fields:
    """X-RateLimit-Limit, -Remaining and -Reset, as Flask-Limiter writes them.

    Of several quotas they describe the one that denies longest, or that has the
    least remaining. Reset is a Unix time in whole seconds, rounded up: of a quota
    that denies, when a request can pass again; of any other, when it is all free.
    """
    if decision.reason in {"exempt", "error"}:
        return []
    state = min(decision.quotas, key=lambda state: (-state.retry_after_ns, state.remaining))
    wait_ns = state.retry_after_ns or state.reset_after_ns
    return [
        ("X-RateLimit-Limit", str(state.quota.burst)),
        ("X-RateLimit-Remaining", str(state.remaining)),
        ("X-RateLimit-Reset", str(_ratio_up(time.time_ns() + wait_ns))),
    ]


def joined(
    answered: Sequence[tuple[AnyStr, AnyStr]], added: Iterable[tuple[AnyStr, AnyStr]]
) -> list[tuple[AnyStr, AnyStr]]:
    """All fields of an answer that more than one limiter, or the application, speaks in.

    RateLimit and RateLimit-Policy are lists: those of a limiter further in stay,
    and ours come on lines of their own (RFC 9651, section 3.1). Of X-RateLimit-*
    there can be one each: those that are there stay, since a denial further in
    is what the client must know. Any other field replaces those of its name.
    """
    there = {name.lower() for name, _ in answered}
    ours = [pair for pair in added if pair[0].lower() not in there & _KEPT]
    replaced = {name.lower() for name, _ in ours} - _LISTS
    return [pair for pair in answered if pair[0].lower() not in replaced] + ours


def retry_after_s(decision: Decision) -> int:
    """Whole seconds until a request can pass, rounded up, at least 1: unless others come first."""
    return max(1, _ratio_up(decision.retry_after_ns))


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that takes the place of the application's.

    `line` is the code with its reason, as WSGI wants it; `fields` are all but those of
    `limit_fields`; `detail` says what happened and how long to wait, as the body does.
    """

    status: int
    line: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    detail: str


def denial(
    decision: Decision | None, announced: Announcement, *, status: int, accept: str | None
) -> Refusal:
    """The answer to a request that may not pass, or that nobody could decide about (None).

    A quota that is used up answers `status`. A limiter that has no room for
    another client (the reason `full`), or whose storage failed, answers 503
    whatever `status` is, since the client did nothing wrong, and names no
    violated policy.
    """
    problem = wants_json(accept)
    if decision is None or decision.reason == "error":
        return _denial((), _UNAVAILABLE, "the limiter's storage failed", 1, problem=problem)
    seconds = retry_after_s(decision)
    if decision.reason == "full":
        reason = "the limiter has no room for another client"
        return _denial((), _UNAVAILABLE, reason, seconds, problem=problem)
    denying = [index for index, state in enumerate(decision.quotas) if state.retry_after_ns]
    violated = tuple([announced.names[index] for index in denying])
    reason = "at most " + " and ".join([announced.quotas[index] for index in denying])
    return _denial(violated, status, reason, seconds, problem=problem)


@lru_cache(1024)
def _denial(
    violated: tuple[str, ...],
    status: int,
    reason: str,
    seconds: int,
    *,
    problem: bool,
) -> Refusal:
    title = "Quota Exceeded" if violated else "Temporary Reduced Capacity"
    detail = f"{reason}; try again in {seconds} s"
    if problem:
        members = {
            "type": _PROBLEMS + title.lower().replace(" ", "-"),
            "title": title,
            "status": status,
            "detail": detail,
            "violated-policies": violated,
        }
        content, text = "application/problem+json", json.dumps(members) + "\n"
    else:
        content, text = "text/plain; charset=utf-8", f"{title}: {detail}\n"
    body = text.encode()
    fields = (
        ("Content-Type", content),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("Retry-After", str(seconds)),
    )
    return Refusal(status, f"{status} {_phrase(status)}", fields, body, detail)


def wants_json(accept: str | None) -> bool:
    """True if problem+json, or `application/json`, is at least as welcome as plain text.

    No preference gets JSON: who meets a limit is a program. Where neither is acceptable a short
    text does the least harm (RFC 9110, section 12.4.1).
    """
    if accept is not None and len(accept) > _LONGEST:
        return _judged.__wrapped__(accept)
    return _judged(accept)


@lru_cache(128)
def _judged(accept: str | None) -> bool:
    weights = _weights(accept) if accept is not None and accept.strip() else {"*/*": 1.0}

    def weight(*ranges: str) -> float:
        """Of the most specific range that the client named (RFC 9110, 12.5.1)."""
        return next((weights[name] for name in ranges if name in weights), 0.0)

    problem = weight("application/problem+json", "application/json", "application/*", "*/*")
    return problem > 0 and problem >= weight("text/plain", "text/*", "*/*")


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for item in accept.split(","):
        media_range, *parameters = (text.strip().lower() for text in item.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[media_range] = min(1.0, max(0.0, float(weight)))
        except ValueError:
            continue  # not a weight: as if the range had not been sent
    return weights


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Limited"


def _effective_s(state: QuotaState) -> int:
    """At least 1 where nothing remains: a table without room may know of no wait."""
    seconds = _ratio_up(state.retry_after_ns or state.reset_after_ns)
    return max(1, seconds) if state.remaining == 0 else seconds


def _ratio_up(ns: int, by: int = 1) -> int:
    """So many ns, divided, in whole seconds rounded up."""
    return -(-ns // (by * SECOND_NS))
