"""What a limited answer says: header fields, and the body of a denial.

Sources: draft-ietf-httpapi-ratelimit-headers-11 (fields and problem types),
RFC 9651 (their syntax), RFC 9110 (Retry-After, Accept), RFC 9457 (problem+json).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from rateproof.enforce.decision import Decision, QuotaState
from rateproof.policy import Policy

__all__ = ["Denial", "denial", "limit_fields", "policy_field", "quota_names", "retry_after_s"]

Fields = list[tuple[str, str]]

_SECOND_NS = 1_000_000_000
_PROBLEMS = "https://iana.org/assignments/http-problem-types#"
_UNAVAILABLE = 503


def quota_names(policy: Policy) -> tuple[str, ...]:
    """What each quota is called in header fields: `default`, or like `5-per-5s` if several.

    A quota that occurs twice gets a number, for names must differ.
    """
    if len(policy.quotas) == 1:
        return ("default",)
    names: list[str] = []
    for quota in policy.quotas:
        name = str(quota).replace(" ", "-")
        names.append(f"{name}-{len(names) + 1}" if name in names else name)
    return tuple(names)


def policy_field(policy: Policy) -> str:
    """The value of RateLimit-Policy, such as `"default";q=5;w=5`.

    `w` is in whole seconds; a window that is not whole is rounded up, so that
    a client that trusts it is never too fast.
    """
    return ", ".join(
        f"{_string(name)};q={quota.limit};w={_seconds_up(quota.window_ns)}"
        for name, quota in zip(quota_names(policy), policy.quotas, strict=True)
    )


def limit_fields(decision: Decision, names: Sequence[str], policy: str) -> Fields:
    """RateLimit-Policy and RateLimit, for every answer that a limiter decided about.

    In RateLimit, `r` is how many requests remain and `t` a number of seconds,
    rounded up: for a quota that denies, until a request can pass again; for
    any other, until the whole quota is free.

    Args:
        decision: what the limiter said.
        names: `quota_names` of its policy.
        policy: `policy_field` of its policy.
    """
    states = ", ".join(
        f"{_string(name)};r={state.remaining};t={_effective_s(decision, state)}"
        for name, state in zip(names, decision.quotas, strict=True)
    )
    return [("RateLimit-Policy", policy), ("RateLimit", states)]


def retry_after_s(decision: Decision) -> int:
    """Whole seconds until a request can pass, rounded up, at least 1.

    A client that waits this long from the moment it has the answer is admitted,
    unless other requests of the same client come first.
    """
    return max(1, _seconds_up(decision.retry_after_ns))


@dataclass(frozen=True, slots=True)
class Denial:
    """An answer that takes the place of the application's."""

    status: int
    fields: Fields
    body: bytes

    @property
    def line(self) -> str:
        """The status with its reason, as WSGI wants it."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"{self.status} Limited"


def denial(
    decision: Decision | None, names: Sequence[str], *, status: int, accept: str | None
) -> Denial:
    """The answer to a request that may not pass, without the fields of `limit_fields`.

    A quota that is used up answers `status`. A limiter that has no room for
    another client (`Decision.full`), or whose storage failed, answers 503
    whatever `status` is, since the client did nothing wrong, and names no
    violated policy.

    Args:
        decision: what the limiter said, or None if it could not decide.
        names: `quota_names` of its policy.
        status: the code for a quota that is used up.
        accept: the request's Accept field, None if it had none.
    """
    violated = (
        [name for name, state in zip(names, decision.quotas, strict=True) if _violated(state)]
        if decision is not None and not decision.full
        else []
    )
    seconds = 1 if decision is None else retry_after_s(decision)
    status = status if violated else _UNAVAILABLE
    detail = f"{_reason(decision)}; try again in {seconds} s"
    problem, title = (
        ("temporary-reduced-capacity", "Temporary Reduced Capacity")
        if not violated
        else ("quota-exceeded", "Quota Exceeded")
    )
    if _wants_json(accept):
        kind = "application/problem+json"
        members = {
            "type": _PROBLEMS + problem,
            "title": title,
            "status": status,
            "detail": detail,
            "violated-policies": violated,
        }
        text = json.dumps(members) + "\n"
    else:
        kind = "text/plain; charset=utf-8"
        text = f"{title}: {detail}\n"
    body = text.encode()
    fields = [
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("Retry-After", str(seconds)),
    ]
    return Denial(status, fields, body)


def _reason(decision: Decision | None) -> str:
    if decision is None:
        return "the limiter's storage failed"
    if decision.full:
        return "the limiter has no room for another client"
    return "at most " + " and ".join(
        str(state.quota) for state in decision.quotas if _violated(state)
    )


def _violated(state: QuotaState) -> bool:
    return state.retry_after_ns > 0


def _effective_s(decision: Decision, state: QuotaState) -> int:
    denies = not decision.admitted and (state.remaining == 0 or _violated(state))
    return (
        max(1, _seconds_up(state.retry_after_ns)) if denies else _seconds_up(state.reset_after_ns)
    )


def _seconds_up(ns: int) -> int:
    return -(-ns // _SECOND_NS)


def _string(text: str) -> str:
    """A String of RFC 9651; the names of quotas are ASCII by construction."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wants_json(accept: str | None) -> bool:
    """Whether problem+json is at least as welcome as plain text.

    `application/json` asks for it as well. No Accept, or `*/*`, means no
    preference, and gets JSON: who meets a limit is a program. Where neither
    is acceptable a short text does the least harm (RFC 9110, section 12.4.1).
    """
    weights = _weights(accept) if accept is not None and accept.strip() else {"*/*": 1.0}
    problem = _weight(
        weights, ("application/problem+json", "application/json", "application/*", "*/*")
    )
    return problem > 0 and problem >= _weight(weights, ("text/plain", "text/*", "*/*"))


def _weight(weights: dict[str, float], ranges: Sequence[str]) -> float:
    """The weight of the most specific range that the client named (RFC 9110, 12.5.1)."""
    return next((weights[name] for name in ranges if name in weights), 0.0)


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
