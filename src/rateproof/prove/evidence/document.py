"""Evidence as a document that stands alone: whoever has it can judge its requests again.

Nothing in it is trusted but what was seen, what was promised, and what is
openly assumed: `verify` takes the requests as a log and judges that.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeGuard

from rateproof import __version__
from rateproof.clock import Tolerance
from rateproof.errors import InvalidArgument, LogError
from rateproof.events import ADMITTED, OUTCOMES, UNKNOWN, Event, EventLog, declines, listed
from rateproof.policy import Policy, Quota
from rateproof.prove.evidence.piece import Evidence
from rateproof.prove.evidence.wording import spaced
from rateproof.prove.terms import OVER_ADMISSION, WRONG_REJECTION

FORMAT: Final = "rateproof-evidence/1"
_FAMILY: Final = "rateproof-evidence/"

_SOURCE: Final = (
    "seed",
    "iteration",
    "scenario",
    "start_ns",
    "epoch_ns",
    "clock",
    "generator",
    "control",
    "nemesis",
    "assumptions",
)
"""The part of a log's metadata that says how it came about."""

_MOST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Document:
    """The part of a document that counts.

    Args:
        claim: the promise that is said to be broken.
        policy: what the limiter is said to keep.
        tolerance: what the clocks may disagree on.
        denied_count: whether denied requests are said to use up the quota too.
        complete: whether the requests are said to be all of the key that matter.
        key: the client's identity.
        run: the run of the log that the requests are from, None if it had one.
        log: the requests.
        without_need: rows of the rejections that are said to be so; None for all.
    """

    claim: str
    policy: Policy
    tolerance: Tolerance
    denied_count: bool
    complete: bool
    key: bytes
    run: int | None
    log: EventLog
    without_need: frozenset[int] | None = None
    assumed: tuple[str, ...] = ()

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read a document; what is in it beyond what counts is left aside.

        Raises:
            LogError: another version, or a field that is missing or has no such value;
                the message names it.
        """
        fields = _Fields(data)
        if data.get("format") != FORMAT:
            raise LogError(f"format is {data.get('format')!r}", FORMAT)
        key = fields.base64("key_base64")
        claim = fields.one_of("claim", (OVER_ADMISSION, WRONG_REJECTION))
        complete = fields.flag("complete", default=True)
        # Outcomes are as they were judged in the whole log: no 503 is doubted again.
        log = EventLog(metadata={"fresh_keys": complete, "marked_rejections": False})
        numbers: dict[int, int] = {}
        for at, request in enumerate(fields.objects("requests")):
            event = _event(_Fields(request, f"requests[{at}]."), key)
            if event.sequence in numbers:
                problem = f"requests[{at}].number {event.sequence} is there a second time"
                raise LogError(problem, "each request has a number of its own")
            numbers[event.sequence] = at
            log.append(event)
        try:
            policy = Policy.parse(fields.text("policy"))
            tolerance = Tolerance(fields.whole("tolerance_ppm"), fields.whole("granularity_ns"))
        except InvalidArgument as error:
            raise LogError(error.message, error.hint) from error
        denied_count, run = fields.flag("denied_count"), fields.maybe_whole("run")
        without_need = None
        if "without_need" in data:
            without_need = frozenset(fields.among("without_need", numbers))
        source = data.get("source")
        told = source.get("assumptions") if isinstance(source, dict) else None
        assumed = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
        return cls(
            claim,
            policy,
            tolerance,
            denied_count,
            complete,
            key,
            run,
            log,
            without_need,
            tuple(assumed),
        )

    def assumptions(self) -> list[str]:
        """Return what has to be true for the requests to show what is claimed, in words."""
        granularity = ""
        if self.tolerance.granularity_ns:
            granularity = (
                f", and the limiter's has steps of {spaced(self.tolerance.granularity_ns)}"
            )
        told = [
            *self.assumed,
            "each request was decided between sent_ns and received_ns, both of one clock",
            f"the rates of the two clocks differ by {self.tolerance.ppm} ppm at most{granularity}",
            "all requests count under this key, each as one",
        ]
        seen = {event.status for event in self.log if event.outcome == ADMITTED}
        if doubted := {status for status in seen if status is not None and declines(status)}:
            told.append(f"{listed(doubted)} is not a rejection")
        if self.claim == WRONG_REJECTION and self.complete:
            what = "sent" if self.denied_count else "admitted"
            told.append(
                f"no other request of this key was {what} in the {self._matters()}: "
                "the log is complete, and nobody else used the key"
            )
        elif self.claim == OVER_ADMISSION and self.complete and self._opened_by_hits():
            told.append("the key was not in use before, and these are all its requests")
        if self.denied_count:
            told.append("denied requests use up the quota too")
        return told

    def _opened_by_hits(self) -> bool:
        return any(quota.record.windows == "hit" for quota in self.policy.quotas)

    def _matters(self) -> str:
        """Other requests that would have to have been there for the rejection to be right."""
        quotas = self.policy.quotas
        # After the time that it takes to fill, a bucket is full, whatever was before.
        fills = any(quota.record.has_burst for quota in quotas)
        since = "these, nor since" if fills else "the rejection"
        return f"{spaced(max(map(matters_ns, quotas)))} before {since}"


def matters_ns(quota: Quota) -> int:
    """Return how long a request can matter; for a bucket the time that it takes to fill."""
    if quota.record.has_burst:
        return quota.burst * quota.window_ns // quota.limit
    return quota.memory_ns


def is_document(data: dict[str, Any] | None) -> TypeGuard[dict[str, Any]]:
    """Tell whether plain data says of itself that it is evidence, of this version or another."""
    return data is not None and str(data.get("format", "")).startswith(_FAMILY)


def to_document(
    evidence: Evidence,
    tolerance: Tolerance,
    metadata: Mapping[str, Any],
    *,
    denied_count: bool = False,
) -> dict[str, Any]:
    """The document of a piece of evidence, as plain data."""
    plain = evidence.to_json()
    requests = plain.pop("events")
    figures = ("span_ns", "allowed", "seen", "window_ns", "slack_ns", "nested", "minimal")
    document: dict[str, Any] = {
        "format": FORMAT,
        "rateproof": __version__,
        "claim": evidence.claim,
        "sentence": evidence.sentence(),
        "policy": evidence.policy,
        "tolerance_ppm": tolerance.ppm,
        "granularity_ns": tolerance.granularity_ns,
        "denied_count": denied_count,
        "complete": evidence.complete,
        "key": plain["key"],
        "key_base64": plain["key_base64"],
        "run": evidence.run,
        "requests": requests,
        "without_need": plain["without_need"],
        "figures": {name: plain[name] for name in figures},
        "source": {name: metadata[name] for name in _SOURCE if name in metadata},
    }
    return document | {"assumptions": Document.read(document).assumptions()}


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of an object, each checked as it is read."""

    data: Mapping[str, Any]
    where: str = ""

    def _get(
        self, name: str, form: str, kind: type, fits: Callable[[Any], bool] = lambda _: True
    ) -> Any:
        if name not in self.data:
            raise LogError(f"{self.where}{name} is missing", form)
        value = self.data[name]
        if type(value) is not kind or not fits(value):
            raise self.wrong(name, form)
        return value

    def wrong(self, name: str, form: str) -> LogError:
        return LogError(f"{self.where}{name} is {self.data.get(name)!r:.60}", form)

    def text(self, name: str) -> str:
        value: str = self._get(name, "text", str)
        return value

    def one_of(self, name: str, accepted: tuple[str, ...]) -> str:
        value: str = self._get(name, f"one of {', '.join(accepted)}", str, accepted.__contains__)
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        if default is not None and name not in self.data:
            return default
        value: bool = self._get(name, "true or false", bool)
        return value

    def whole(self, name: str, least: int = -_MOST, most: int = _MOST) -> int:
        form = f"a whole number from {least} to {most}"
        value: int = self._get(name, form, int, lambda value: least <= value <= most)
        return value

    def maybe_whole(self, name: str, least: int = -_MOST, most: int = _MOST) -> int | None:
        if name in self.data and self.data[name] is None:
            return None
        return self.whole(name, least, most)

    def base64(self, name: str) -> bytes:
        value: str = self._get(name, "base64", str)
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.wrong(name, "base64") from error

    def among(self, name: str, known: Mapping[int, int]) -> list[int]:
        """Return what is known of each of a list of numbers."""

        def fits(numbers: list[Any]) -> bool:
            return all(type(one) is int and one in known for one in numbers)

        return [known[one] for one in self._get(name, "a list of numbers of requests", list, fits)]

    def objects(self, name: str) -> list[dict[str, Any]]:

        def fits(several: list[Any]) -> bool:
            return bool(several) and all(isinstance(one, dict) for one in several)

        value: list[dict[str, Any]] = self._get(name, "a list of one object or more", list, fits)
        return value


def _event(fields: _Fields, key: bytes) -> Event:
    outcome = fields.one_of("outcome", OUTCOMES)
    sent_ns, received_ns = fields.whole("sent_ns"), fields.maybe_whole("received_ns")
    if received_ns is None and outcome != UNKNOWN:
        raise fields.wrong("received_ns", f"a time, for the request was {outcome}")
    if received_ns is not None and received_ns < sent_ns:
        raise fields.wrong("received_ns", f"no less than sent_ns, {sent_ns}")
    return Event(
        key=key,
        sent_ns=sent_ns,
        received_ns=received_ns,
        status=fields.maybe_whole("status", 0, 999),
        outcome=outcome,
        sequence=fields.whole("number"),
    )
