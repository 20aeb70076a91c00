"""The token bucket, kept as one time (GCRA): B at once, and N per W in the long run.

An admission takes one token; tokens come back one in T = ceil(W/N) ns, up to B.
The state is the *theoretical arrival time*: when the bucket will be full again.
With base = max(it, now) admit iff base + cost*T - now <= B*T, and that sum's
left end, base + cost*T, is the state after.

*Gap.* After the i-th of m admissions in a row the state is at least i*T past
the first of them, and at most B*T past the i-th. So they span at least
(m - B)*T >= (m - B)*W/N, and, in whole ns, ceil((m - B)*W/N).

*Boundary.* Exactly when a token is back it can be taken. Rounding T up makes the
rate lower by less than a thousandth where W/N is at least 1,000 ns, which is
asked for when a table is opened.

*Order.* One number: old or new.

Source: the generic cell rate algorithm, virtual scheduling form, ITU-T I.371.
"""

from rateproof.policy import Quota


def width(_: Quota) -> int:
    """The instant at which the bucket is full again."""
    return 1


def retry_after_ns(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> int:
    """Until `cost` tokens are back."""
    full_ns = max(state[0], now_ns) + cost * _interval_ns(quota)
    return max(0, full_ns - quota.burst * _interval_ns(quota) - now_ns)


def charged(quota: Quota, state: tuple[int, ...], now_ns: int, cost: int) -> tuple[int, ...]:
    """Take `cost` tokens."""
    return (max(state[0], now_ns) + cost * _interval_ns(quota),)


def remaining(quota: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """The whole tokens in the bucket."""
    interval_ns = _interval_ns(quota)
    return (now_ns + quota.burst * interval_ns - max(state[0], now_ns)) // interval_ns


def reset_after_ns(_: Quota, state: tuple[int, ...], now_ns: int) -> int:
    """Until the bucket is full."""
    return max(0, state[0] - now_ns)


def _interval_ns(quota: Quota) -> int:
    return -(-quota.window_ns // quota.limit)
