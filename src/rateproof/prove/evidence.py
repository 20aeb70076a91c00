"""Evidence: the few requests that no correct limiter could have answered so.

Keys are chosen by whoever sends requests: every text made here shows them
escaped and cut.
"""

import base64
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from rateproof.units import format_duration

__all__ = ["OVER_ADMISSION", "WRONG_REJECTION", "Evidence", "Witness", "readable_key"]

OVER_ADMISSION: Final = "over-admission"
WRONG_REJECTION: Final = "wrong-rejection"

_KEY_WIDTH = 40
_SECOND = Decimal(1_000_000_000)


def readable_key(key: bytes) -> str:
    """A key as safe text: printable ASCII as it is, the rest in hex, cut at 40 characters."""
    shown = [
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\x{byte:02x}"
        for byte in key[: _KEY_WIDTH + 1]
    ]
    if sum(map(len, shown)) <= _KEY_WIDTH:
        return f"'{''.join(shown)}'"
    while sum(map(len, shown)) > _KEY_WIDTH - 3:
        shown.pop()
    return f"'{''.join(shown)}...'"


@dataclass(frozen=True, slots=True)
class Witness:
    """One request of the evidence, as its client saw it.

    Args:
        number: the sequence number within its run, or the row in the log
            where the log does not number requests.
        sent_ns: see `rateproof.events.Event`.
        received_ns: None if no answer came.
        status: the HTTP status, None if no answer came.
        outcome: `admitted`, `rejected` or `unknown`.
    """

    number: int
    sent_ns: int
    received_ns: int | None
    status: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a claim is false.

    Args:
        claim: `over-admission` or `wrong-rejection`.
        key: the client they belong to.
        run: the run they belong to, None where the log has one run only.
        events: the requests, by sending time; for a wrong rejection the
            rejected one comes last.
        span_ns: from the first sent to the last received of those that count.
        allowed: how many may lie in the window.
        seen: how many certainly do (over-admission), or at most can
            (wrong rejection).
        window_ns: the window; below 2 windows for 2N+1 requests, and so on.
        slack_ns: by how much the windows could be shorter and the claim still
            be false; 0 where that was not measured.
        nested: whether all requests lie within the window whenever they were
            decided; if not, every choice of instants fails for one reason or another.
        policy: the policy's text.
    """

    claim: str
    key: bytes
    run: int | None
    events: tuple[Witness, ...]
    span_ns: int
    allowed: int
    seen: int
    window_ns: int
    slack_ns: int
    nested: bool
    policy: str

    def sentence(self) -> str:
        """The evidence in one sentence."""
        where = f"key {readable_key(self.key)}"
        if self.run is not None:
            where += f", run {self.run}"
        window = _spaced(self.window_ns)
        if self.claim == WRONG_REJECTION:
            held = "none" if self.seen == 0 else f"at most {self.seen}"
            return (
                f"{where}: request #{self.events[-1].number} was rejected, but the {window} before "
                f"it held {held} of the {self.allowed} that the policy allows"
            )
        names = _names([event.number for event in self.events])
        if self.nested:
            return (
                f"{where}: {names} were all decided within {_seconds(self.span_ns, up=True)}: "
                f"{self.seen} in less than {window}, the policy allows {self.allowed}"
            )
        return (
            f"{where}: {names} cannot all have been admitted under '{self.policy}', whenever "
            f"between sending and answer each was decided"
        )

    def timeline(self, width: int = 78) -> str:
        """A drawing of the requests and of the window, times relative to the first sent.

        A window much longer than what happened in it is cut off, marked by `>`.

        Args:
            width: characters a line, at least 40.
        """
        labels = [f"#{event.number}" for event in self.events]
        pad = max(map(len, labels))
        scale = self._scale(max(40, width) - pad - 12)
        lines = []
        for label, event in zip(labels, self.events, strict=True):
            offset = f"{(event.sent_ns - scale.first_ns) / 1e9:.3f} s"
            fill = "x" if event.outcome == "rejected" else "="
            bar = scale.bar(event.sent_ns, event.received_ns, fill)
            lines.append(f"{label:>{pad}} {offset:>9} {bar}")
        opens_ns = scale.first_ns
        if self.claim == WRONG_REJECTION:
            opens_ns = self.events[-1].sent_ns - self.window_ns
        left, right = scale.column(opens_ns), scale.column(opens_ns + self.window_ns)
        closing = ">" if opens_ns + self.window_ns > scale.last_ns else ")"
        bracket = " " * left + "[" + "-" * (right - left - 1) + closing
        lines.append(f"{'':>{pad}} {'window':>9} {bracket}")
        slack = f", {_seconds(self.slack_ns, up=False)} to spare" if self.slack_ns else ""
        lines.append(f"{'':>{pad}} {'':>9} {_spaced(self.window_ns)}{slack}")
        return "\n".join(lines)

    def _scale(self, columns: int) -> "_Scale":
        first_ns = min(event.sent_ns for event in self.events)
        ends = (e.sent_ns if e.received_ns is None else e.received_ns for e in self.events)
        last_ns = max(first_ns + 1, *ends)
        if self.claim == WRONG_REJECTION:
            first_ns = min(first_ns, self.events[-1].sent_ns - self.window_ns)
        elif self.window_ns < 4 * (last_ns - first_ns):
            last_ns = max(last_ns, first_ns + self.window_ns)
        return _Scale(first_ns, last_ns, columns)

    def to_json(self) -> dict[str, Any]:
        """Plain data; the key in base64 (exact) and as readable text (escaped, cut)."""
        return {
            "claim": self.claim,
            "sentence": self.sentence(),
            "key": readable_key(self.key),
            "key_base64": base64.b64encode(self.key).decode("ascii"),
            "run": self.run,
            "policy": self.policy,
            "span_ns": self.span_ns,
            "allowed": self.allowed,
            "seen": self.seen,
            "window_ns": self.window_ns,
            "slack_ns": self.slack_ns,
            "nested": self.nested,
            "events": [
                {
                    "number": event.number,
                    "sent_ns": event.sent_ns,
                    "received_ns": event.received_ns,
                    "status": event.status,
                    "outcome": event.outcome,
                }
                for event in self.events
            ],
        }


@dataclass(frozen=True, slots=True)
class _Scale:
    """Times onto columns of a drawing."""

    first_ns: int
    last_ns: int
    columns: int

    def column(self, ns: int) -> int:
        """The column of an instant; what lies outside is drawn at the edge."""
        along = (ns - self.first_ns) * (self.columns - 1) // (self.last_ns - self.first_ns)
        return min(self.columns - 1, max(0, along))

    def bar(self, sent_ns: int, received_ns: int | None, fill: str) -> str:
        """An interval, open on the right where it has no end."""
        left = self.column(sent_ns)
        right = self.columns - 1 if received_ns is None else self.column(received_ns)
        closing = ">" if received_ns is None else "]"
        bar = "|" if right == left else "[" + fill * (right - left - 1) + closing
        return " " * left + bar


def _names(numbers: list[int]) -> str:
    """`requests #4 ... #9` when they are consecutive, else each, else how many."""
    ordered = sorted(numbers)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"requests #{ordered[0]} … #{ordered[-1]}"
    if len(ordered) > 12:
        return f"{len(ordered)} requests from #{ordered[0]} to #{ordered[-1]}"
    *most, last = (f"#{number}" for number in ordered)
    return f"requests {', '.join(most)} and {last}" if most else f"request {last}"


def _seconds(ns: int, *, up: bool) -> str:
    """Seconds to a millisecond, or finer below 10 ms; rounded away from overstating."""
    step = Decimal("0.001") if ns >= 10_000_000 else Decimal("0.000001")
    rounded = (ns / _SECOND).quantize(step, ROUND_CEILING if up else ROUND_FLOOR)
    return f"{rounded.normalize():f} s"


def _spaced(ns: int) -> str:
    """A window as people write it: `5 s`."""
    text = format_duration(ns)
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return f"{number} {text.removeprefix(number)}"
