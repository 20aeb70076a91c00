"""A limit as settings for other limiters, and the policy that each of them really keeps."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy, Quota
from rateproof.policy.fixed_window import FIXED_WINDOW
from rateproof.policy.sliding_counter import SLIDING_COUNTER
from rateproof.policy.token_bucket import TOKEN_BUCKET
from rateproof.units import UNIT_NS, format_duration

_SECOND_NS: Final = UNIT_NS["s"]
_UNITS: Final = {"second": "s", "minute": "m", "hour": "h", "day": "d"}


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings to paste.

    Args:
        limiter: whose.
        text: of its configuration.
        policy: what it keeps, as a policy of ours.
        remark: what else to know.
        exact: it keeps just that policy, so that bounds hold for it; else they are an estimate.
        counts_denied: it counts what it denies too, so that it rejects more.
    """

    limiter: str
    text: str
    policy: Policy
    remark: str = ""
    exact: bool = True
    counts_denied: bool = False

    def admits(self, window_ns: int) -> int:
        """Return the most that it lets through in any window of this length."""
        return self.policy.worst_case(window_ns)


def settings_for(policy: Policy, key: KeySpec) -> list[Setting]:
    """Return a policy for us, and its first quota for each other limiter.

    Those are left out whose figures are out of our range.
    """
    text = f'[limits.api]\npolicy = "{policy}"\nkey = "{key}"'
    settings = [Setting("rateproof (rateproof.toml)", text, policy)]
    first, *others = policy.quotas
    for make in _LIMITERS:
        with suppress(InvalidArgument):
            one = make(first, key)
            remarks = [*filter(None, [one.remark]), *(["the first quota only"] if others else [])]
            settings.append(replace(one, remark="; ".join(remarks)))
    return settings


def _flask_limiter(quota: Quota, key: KeySpec) -> Setting:
    named = _part(key)
    of = {
        "ip": "get_remote_address",
        "header": f'lambda: request.headers.get("{named[1]}", "")',
        "query": f'lambda: request.args.get("{named[1]}", "")',
        "cookie": f'lambda: request.cookies.get("{named[1]}", "")',
    }.get(named[0], "your_key")
    seconds = ceil(quota.window_ns / _SECOND_NS)
    text = (
        f'Limiter({of}, app=app, strategy="moving-window",\n'
        f'        application_limits=["{quota.limit} per {seconds} second"])'
    )
    kept = Policy((Quota(quota.limit, seconds * _SECOND_NS),))
    remark = "in each process by itself, unless storage_uri names a Redis; without strategy: up to twice as many"
    return Setting("Flask-Limiter", text, kept, remark)


def _nginx(quota: Quota, key: KeySpec) -> Setting:
    variable = {
        "ip": "$binary_remote_addr",
        "header": f"$http_{_part(key)[1].lower().replace('-', '_')}",
        "query": f"$arg_{_part(key)[1]}",
        "cookie": f"$cookie_{_part(key)[1]}",
    }.get(_part(key)[0], "$your_key")
    # nginx keeps whole thousandths of a request a second.
    a_second, rest = divmod(quota.limit * _SECOND_NS, quota.window_ns)
    if rest == 0:
        rate, unit, thousandths = a_second, "s", 1_000 * a_second
    else:
        rate, unit = -(-60 * quota.limit * _SECOND_NS // quota.window_ns), "m"
        thousandths = max(1, rate * 1_000 // 60)
    text = (
        f"limit_req_zone {variable} zone=api:10m rate={rate}r/{unit};\n"
        f"limit_req zone=api burst={quota.burst - 1} nodelay;\nlimit_req_status 429;"
    )
    kept = Policy((Quota(thousandths, 1_000 * _SECOND_NS, TOKEN_BUCKET.name, quota.burst),))
    return Setting("nginx", text, kept, "it counts in milliseconds", exact=False)


def _haproxy(quota: Quota, key: KeySpec) -> Setting:
    name = _part(key)[1]
    of = {
        "ip": "src",
        "header": f"req.hdr({name})",
        "query": f"url_param({name})",
        "cookie": f"req.cook({name})",
    }.get(_part(key)[0], "your_key")
    kind = "ipv6" if of == "src" else "string len 64"
    period = format_duration(quota.window_ns)
    text = (
        f"stick-table type {kind} size 100k expire {period} store http_req_rate({period})\n"
        f"http-request track-sc0 {of}\n"
        f"http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {quota.limit} }}"
    )
    kept = Policy((Quota(quota.limit, quota.window_ns, SLIDING_COUNTER.name),))
    return Setting(
        "HAProxy",
        text,
        kept,
        "it counts what it denies too: who does not wait stays denied",
        exact=False,
        counts_denied=True,
    )


def _envoy(quota: Quota, key: KeySpec) -> Setting:
    # The longest unit that is no longer than the window and still has a request; else the next one.
    fitting = [
        (unit, letter)
        for unit, letter in _UNITS.items()
        if UNIT_NS[letter] <= quota.window_ns <= quota.limit * UNIT_NS[letter]
    ]
    longer = [each for each in _UNITS.items() if UNIT_NS[each[1]] >= quota.window_ns]
    unit, letter = (fitting[-1:] or longer or [("day", "d")])[0]
    limit = max(1, quota.limit * UNIT_NS[letter] // quota.window_ns)
    entry = {"ip": "remote_address"}.get(_part(key)[0], "your_key")
    text = (
        f"domain: api\ndescriptors:\n  - key: {entry}\n    rate_limit:\n"
        f"      unit: {unit}\n      requests_per_unit: {limit}"
    )
    kept = Policy((Quota(limit, UNIT_NS[letter], FIXED_WINDOW.name),))
    return Setting(
        "Envoy (envoyproxy/ratelimit)", text, kept, f"its windows begin with the clock's {unit}"
    )


_LIMITERS: Final[tuple[Callable[[Quota, KeySpec], Setting], ...]] = (
    _flask_limiter,
    _nginx,
    _haproxy,
    _envoy,
)


def _part(key: KeySpec) -> tuple[str, str]:
    """Return the kind and the name of a key that is of one part."""
    [parts, *others] = key.alternatives
    if others or len(parts) > 1:
        return "", ""
    return parts[0].kind, parts[0].name
