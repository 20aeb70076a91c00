"""Evidence: the few requests that no correct limiter could have answered so."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from rateproof.policy import Policy
from rateproof.prove.evidence.drawing import Drawing, Witness
from rateproof.prove.evidence.wording import key_to_json, names, readable_key, seconds, spaced
from rateproof.prove.terms import WRONG_REJECTION

MOST_EVIDENCE: Final = 16
"""Pieces of evidence in a verdict; the reasons say of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence(Drawing):
    """The reason why a claim is false.

    Args:
        claim: `over-admission` or `wrong-rejection`.
        key: the client they belong to.
        run: the run they belong to, None where the log has one run only.
        events: the requests, by sending time; for a wrong rejection those
            without reason come last.
        span_ns: from the first sent to the last received of those that count.
        allowed: how many may lie in the window.
        seen: how many certainly do (over-admission), or at most can (wrong
            rejection; where not `nested`, how many events precede the rejected).
        window_ns: the window; below 2 windows for 2N+1 requests, and so on.
        slack_ns: by how much the windows could be shorter and the claim still
            be false; 0 where that was not measured.
        nested: whether all requests lie within the window whenever they were
            decided; if not, every choice of instants fails for one reason or another.
        policy: the policy's text.
        quota: the text of the quota of it that they are held to.
        minimal: whether none of them can be left out; False where the effort for
            finding that out was spent.
        complete: whether it rests on there being no others: always for a wrong rejection.
        without_need: how many of them, the last ones, were rejected without need.
    """

    key: bytes
    run: int | None
    span_ns: int
    allowed: int
    seen: int
    quota: str = ""
    minimal: bool = True
    complete: bool = False
    without_need: int = 0

    def sentence(self) -> str:
        """The evidence in one sentence."""
        where = f"key {readable_key(self.key)}"
        if self.run is not None:
            where += f", run {self.run}"
        if self.claim == WRONG_REJECTION:
            return f"{where}: {self._rejected()}"
        window = spaced(self.window_ns)
        which = names([event.number for event in self.events])
        if self.nested:
            return (
                f"{where}: {which} were all decided within {seconds(self.span_ns, up=True)}: "
                f"{self.seen} in less than {window}, the policy allows {self.allowed}"
            )
        quotas = Policy.parse(self.policy).quotas
        phases = any(quota.record.windows == "clock" for quota in quotas)
        wherever = " and wherever windows begin" if phases else ""
        return (
            f"{where}: {which} cannot all have been admitted under '{self.policy}', whenever "
            f"between sending and answer each was decided{wherever}{self._whether_minimal()}"
        )

    def _whether_minimal(self) -> str:
        return "" if self.minimal else "; not minimised: some of them may not be needed"

    def _rejected(self) -> str:
        if not self.nested:
            rejected = [event.number for event in self._refused()]
            were = "was" if len(rejected) == 1 else "were"
            return (
                f"{names([event.number for event in self.events])} cannot all have been answered "
                f"so under '{self.policy}', whenever between sending and answer each was decided: "
                f"{names(rejected)} {were} rejected without need"
            )
        refused = f"request #{self.events[-1].number} was rejected, but"
        if self.quota and Policy.parse(self.quota).quotas[0].record.has_burst:
            left = self.allowed - self.seen
            return (
                f"{refused} the bucket of {self.allowed} held at least "
                f"{left} {'token' if left == 1 else 'tokens'}"
            )
        held = "none" if self.seen == 0 else f"at most {self.seen}"
        return (
            f"{refused} the {spaced(self.window_ns)} before it held {held} of the "
            f"{self.allowed} that the policy allows"
        )

    def _refused(self) -> tuple[Witness, ...]:
        return self.events[len(self.events) - self.without_need :]

    def to_json(self) -> dict[str, Any]:
        """Plain data; the key in base64 (exact) and as readable text (escaped, cut)."""
        return asdict(self) | {
            **key_to_json(self.key),
            "sentence": self.sentence(),
            "minimal": self.minimal and not self.complete,
            "without_need": [event.number for event in self._refused()],
            "events": [asdict(event) for event in self.events],
        }
