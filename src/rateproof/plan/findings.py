"""Everything that a plan found, as text and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rateproof.keyspec import KeySpec
from rateproof.plan.bounds import Bounds
from rateproof.plan.choice import SHARES, Choice
from rateproof.plan.clients import Beyond
from rateproof.plan.pasting import Setting
from rateproof.policy import Quota
from rateproof.units import counted, format_duration

SHARE_NAMES: Final = ("99 %", "99.9 %", "100 %")


@dataclass(frozen=True, slots=True)
class Settled:
    """A limit of another limiter, and what it does.

    Args:
        setting: to paste.
        admits: the most that any window lets through.
        bounds: what it would have rejected.
    """

    setting: Setting
    admits: int
    bounds: Bounds

    def did(self) -> str:
        """Return what it would have rejected, as text."""
        least, most = self.bounds.rejected
        clients = f"({span(*self.bounds.clients)} of the clients)"
        if self.setting.counts_denied:
            return f"about {requests(least, least)} {clients} or more, an estimate"
        of = f"{requests(least, most)} {clients}"
        return of if self.setting.exact else f"about {of}, an estimate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan.

    Args:
        log: name of the log.
        key: what tells clients apart.
        requests: in the log.
        clients: in the log.
        since_ns: earliest instant.
        until_ns: latest.
        assumptions: what all of it rests on.
        choices: the tightest limits of each window.
        grid: each limit that was tried, under each window; the tightest ones by each algorithm.
        quota: the limit that is looked at more closely.
        asked: the policy that was asked for; None: none was.
        algorithms: what each algorithm would have done with that limit.
        retried: of the first of these: rejections and repetitions rejected, in the model.
        beyond: clients beyond the limit, those with the highest peaks.
        all_beyond: how many clients may be beyond it.
        settings: the limit for other limiters.
        timeline: requests in equal bins of the log's time.
        distribution: of each window, how many clients have each peak at most.
    """

    log: str
    key: KeySpec
    requests: int
    clients: int
    since_ns: int
    until_ns: int
    assumptions: Sequence[str]
    choices: Sequence[Choice]
    grid: Sequence[Bounds]
    quota: Quota
    asked: Bounds | None
    algorithms: Sequence[Bounds]
    retried: tuple[int, int]
    beyond: Sequence[Beyond]
    all_beyond: int
    settings: Sequence[Settled]
    timeline: Sequence[int]
    distribution: Sequence[Sequence[tuple[int, int]]]

    def answer(self) -> str:
        """Return the line that says it all."""
        if self.asked is not None:
            did = f"{share(self.asked)} of {requests(self.requests, self.requests)}"
            return f"{self.asked.policy} would have rejected {did}"
        least, most = self.algorithms[0].clients
        felt = (
            f"{span(least, most)} of {self.clients:,} client{'s' * (self.clients != 1)}"
            if most
            else "no client"
        )
        return f"{self.quota} would have rejected requests of {felt}"

    def shown(self) -> list[Bounds]:
        """Return the policy that was asked for, and the limit under each algorithm."""
        rows = [*([self.asked] if self.asked else []), *self.algorithms]
        return list({one.policy: one for one in rows}.values())

    def model(self) -> str:
        """Return what becomes of rejected requests in the model."""
        first, again = self.retried
        late = f"{requests(first, first)} {'is' if first == 1 else 'are'} late"
        lost = f"{again:,} never {'gets' if again == 1 else 'get'} through"
        return f"if each honours Retry-After once, {late} and {lost}"

    def lines(self) -> Iterator[str]:
        """Return all of it, as text."""
        yield self.answer()
        begun, ended = (_instant(ns) for ns in (self.since_ns, self.until_ns))
        clients = f"{self.clients:,} client{'s' * (self.clients != 1)}"
        of = f"{requests(self.requests, self.requests)} of {clients}"
        yield f"{of} ({self.key}), {begun} to {ended}"
        yield from (f"this assumes that {one}" for one in self.assumptions)
        yield ""
        yield "the tightest limit that rejects nothing of"
        head = [f"{one} of clients" for one in SHARE_NAMES]
        yield from table(
            ["window", *head, "places needed"],
            *(
                [
                    format_duration(one.window_ns),
                    *(span(low, high) for low, high in zip(one.certain, one.limits, strict=True)),
                    f"{one.places:,}",
                ]
                for one in self.choices
            ),
        )
        yield ""
        yield "what it would have rejected, at least and at most"
        yield from table(
            ["policy", "requests", "of all", "clients"],
            *(
                [str(one.policy), span(*one.rejected), share(one), span(*one.clients)]
                for one in self.shown()
            ),
        )
        yield f"model, no bound: {self.model()}"
        yield ""
        if self.beyond:
            shown = len(self.beyond)
            of = f", of which {shown} are shown" if shown < self.all_beyond else ""
            yield f"beyond {self.quota}: {counted(self.all_beyond, 'client')}{of}"
            yield from table(
                [
                    "client",
                    "requests",
                    f"most in {format_duration(self.quota.window_ns)}",
                    "rejected",
                    "user agents",
                    "paths",
                    "",
                ],
                *(
                    [
                        one.name,
                        f"{one.requests:,}",
                        f"{one.peak:,}",
                        span(*one.rejected),
                        f"{one.agents:,}",
                        f"{one.paths:,}",
                        "shared address?" if one.shared else "",
                    ]
                    for one in self.beyond
                ),
            )
            yield ""
        for one in self.settings:
            setting = one.setting
            yield f"{setting.limiter}: at most {one.admits:,} in any {format_duration(self.quota.window_ns)}"
            yield f"  would have rejected {one.did()}"
            if setting.remark:
                yield f"  {setting.remark}"
            yield from (f"    {line}" for line in setting.text.splitlines())

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "answer": self.answer(),
            "log": self.log,
            "key": str(self.key),
            "requests": self.requests,
            "clients": self.clients,
            "since": _instant(self.since_ns),
            "until": _instant(self.until_ns),
            "assumptions": list(self.assumptions),
            "windows": [
                {
                    "window_s": choice.window_ns / 10**9,
                    "places": choice.places,
                    "limits": [
                        {"share": part, "limit": limit, "at_least": certain, "beyond": beyond}
                        for part, limit, certain, beyond in zip(
                            SHARES, choice.limits, choice.certain, choice.beyond, strict=True
                        )
                    ],
                    "distribution": [list(one) for one in distribution],
                }
                for choice, distribution in zip(self.choices, self.distribution, strict=True)
            ],
            "grid": [_plain(one) for one in self.grid],
            "policy": None if self.asked is None else _plain(self.asked),
            "algorithms": [_plain(one) for one in self.algorithms],
            "model": {
                "retries": "each honours Retry-After once",
                "rejected": self.retried[0],
                "rejected_again": self.retried[1],
            },
            "all_beyond": self.all_beyond,
            "beyond": [
                {
                    "client": one.name,
                    "requests": one.requests,
                    "peak": one.peak,
                    "user_agents": one.agents,
                    "paths": one.paths,
                    "rejected": list(one.rejected),
                    "shared": one.shared,
                }
                for one in self.beyond
            ],
            "settings": [
                {
                    "limiter": one.setting.limiter,
                    "text": one.setting.text,
                    "remark": one.setting.remark,
                    "admits": one.admits,
                    "estimate": not one.setting.exact,
                    **_plain(one.bounds),
                }
                for one in self.settings
            ],
        }


def _plain(one: Bounds) -> dict[str, Any]:
    return {
        "policy": str(one.policy),
        "rejected": list(one.rejected),
        "clients": list(one.clients),
        "share": list(one.shares),
    }


def span(least: int, most: int) -> str:
    """Return bounds as text."""
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def requests(least: int, most: int) -> str:
    """Return bounds on a number of requests as text."""
    return f"{span(least, most)} request{'s' * (most != 1)}"


def share(one: Bounds) -> str:
    """Return the part of requests that is rejected, as text."""
    low, high = (_percent(each) for each in one.shares)
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _percent(part: float) -> str:
    return f"{100 * part:.3g} %"


def _instant(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"


def table(*rows: Sequence[str]) -> Iterator[str]:
    """Return rows with their columns under one another; the first column is aligned left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = row
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()
