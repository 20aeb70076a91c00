"""What was decided about one request so far, and what its answer says of it."""

from rateproof.enforce.decision import Decision
from rateproof.enforce.frameworks.decide import combined
from rateproof.enforce.http.answers import (
    Announcement,
    Denial,
    Fields,
    announcement,
    denial,
    limit_fields,
    x_ratelimit_fields,
)
from rateproof.policy import Policy

__all__ = ["Account"]

_NOTHING = Announcement((), (), "")


class Account:
    """Decisions about one request, made where its limits were declared."""

    def __init__(self) -> None:
        self.charged: set[object] = set()
        self._decisions: list[Decision] = []
        self._denial: Denial | None = None

    def admit(self, decision: Decision) -> None:
        """One more decision, that did not stop the request."""
        self._decisions.append(decision)

    def deny(self, decision: Decision | None, *, status: int, accept: str | None) -> Denial:
        """The answer to a request that is stopped by a decision, or for lack of one (None)."""
        announced = _NOTHING
        if decision is not None:
            self._decisions.append(decision)
            announced = _announced(decision)
        self._denial = denial(decision, announced, status=status, accept=accept)
        return self._denial

    def fields(self, *, x_ratelimit: bool) -> Fields:
        """What the answer carries, whoever wrote it."""
        fields: Fields = []
        if self._denial is not None:
            kept = ("Retry-After", "Cache-Control")
            fields += [(name, value) for name, value in self._denial.fields if name in kept]
        if self._decisions:
            decision = combined(self._decisions)
            fields += limit_fields(decision, _announced(decision))
            if x_ratelimit:
                fields += x_ratelimit_fields(decision)
        return fields


def _announced(decision: Decision) -> Announcement:
    return announcement(Policy(tuple(state.quota for state in decision.quotas)))
