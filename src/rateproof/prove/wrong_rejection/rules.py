"""Was a rejection wrong? Sound rules by algorithm; `docs/theory.md`, section 3, proves them.

A rejection is right if any quota was full when it was decided. It is certainly
wrong when no choice of instants fills one, at any instant at which it may have
been decided. What fills a quota is in `rateproof.prove.wrong_rejection.fullness`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rateproof.clock import Tolerance
from rateproof.events.facts import Stretch
from rateproof.policy import Policy
from rateproof.prove.keys import KeyLog
from rateproof.prove.wrong_rejection.fullness import BucketRule, Rule, rules_of
from rateproof.prove.wrong_rejection.orders import Log, logs_of


@dataclass(frozen=True, slots=True)
class WrongRejection:
    """A rejection that no choice of instants explains.

    Args:
        index: which of the key's rejections.
        quota: which quota of the policy came nearest to being full.
        most: how much of it can have been in use at most; below its limit.
    """

    index: int
    quota: int
    most: int


def has_rule(policy: Policy) -> bool:
    """Tell whether rejections under this policy can be judged: there is a rule for every quota."""
    return bool(rules_of(policy))


def covered_from_ns(known_ns: int, rules: Sequence[Rule]) -> int:
    """Return from when on rejections of a key can be judged although it is not fresh.

    What was decided from `known_ns` on is in the log: a whole window later, what was
    decided before no longer matters.
    """
    return known_ns + horizon_ns(rules)


def horizon_ns(rules: Sequence[Rule]) -> int:
    """After how long nothing matters to a rejection any more."""
    return max((rule.horizon_ns for rule in rules), default=0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The terms by which the rejections of a log are judged."""

    policy: Policy
    fresh: bool
    cut_off: bool = False
    longest_ns: int | None = None  # from sending to answer; None where an answer was lost
    denied_count: bool = False
    only: frozenset[int] | None = None  # rows of the rejections to judge; None: all
    since_ns: int | None = None  # from when on the log has every request, where that is known
    until_ns: int | None = None  # rejections sent from here on are not judged
    part: bool = False  # whether it is of a stretch of a key

    @property
    def whole(self) -> bool:
        """Tell whether the log has all that the limiter ever decided."""
        return self.fresh and not self.cut_off and self.since_ns is None and not self.part

    def within(self, stretch: Stretch | None, tolerance: Tolerance) -> "Judgement":
        """The terms for a stretch of a key, of which its own rejections are judged; None: the same.

        It was read with all that was decided a horizon before. An answer that was lost may have been
        admitted at any time since, so where there are some only the first stretch has all that counts.
        """
        if stretch is None:
            return self
        until_ns = min(
            (t for t in (self.until_ns, stretch.until_ns) if t is not None), default=None
        )
        if stretch.from_ns is None:
            return replace(self, until_ns=until_ns, part=True)
        if self.longest_ns is None:
            return replace(self, until_ns=stretch.first_ns, part=True)
        since_ns = stretch.from_ns - horizon_ns(self.rules(tolerance))
        if self.since_ns is not None:
            since_ns = max(since_ns, self.since_ns)
        elif not self.fresh:
            since_ns = max(since_ns, stretch.first_ns + self.longest_ns)
        return replace(self, fresh=False, since_ns=since_ns, until_ns=until_ns, part=True)

    def known_ns(self, key: KeyLog) -> int | None:
        """Return from when on the log has every request of a key that is not fresh.

        If the log does not say: requests of the key that it does not have were sent
        before the first that it has. Those that were still under way by then were decided
        within the longest time that any request of the log took. This rests on an
        assumption, that requests before the log took no longer than those in it, and
        fails where answers are lost: None.
        """
        if self.since_ns is not None:
            return self.since_ns
        return None if self.longest_ns is None else key.first_sent_ns + self.longest_ns

    def rules(self, tolerance: Tolerance) -> tuple[Rule, ...]:
        """The rule of each quota; none where no rejection is to be judged.

        Of a bucket from which denials take tokens too, nobody knows how far
        below empty it was before the log began.
        """
        rules = rules_of(self.policy, tolerance, denied_count=self.denied_count)
        bottomless = self.denied_count and any(isinstance(rule, BucketRule) for rule in rules)
        unbounded = bottomless and not self.fresh
        return () if self.cut_off or unbounded else rules

    def logs(self, tolerance: Tolerance) -> tuple[Log, ...]:
        """The quotas, for a search over orders of decisions; none where none is to be made."""
        return logs_of(self.policy, tolerance) if self.rules(tolerance) else ()

    def judged(self, key: KeyLog, tolerance: Tolerance) -> list[int]:
        """Return which of a key's rejections can be judged, by index."""
        rules = self.rules(tolerance)
        if not rules:
            return []
        asked = [*range(len(key.rejected))]
        if self.only is not None:
            asked = [i for i in asked if key.rejected_rows[i] in self.only]
        if self.until_ns is not None:
            asked = [i for i in asked if key.rejected[i][0] < self.until_ns]
        if self.fresh:
            return asked
        known_ns = self.known_ns(key)
        if known_ns is None:
            return []
        from_ns = covered_from_ns(known_ns, rules)
        return [i for i in asked if key.rejected[i][0] >= from_ns]

    def wrong(
        self, key: KeyLog, indices: Sequence[int], tolerance: Tolerance, *, unknown: bool = True
    ) -> list[WrongRejection]:
        """The rejections of a key that are certainly wrong."""
        rules = self.rules(tolerance)
        if not rules or not indices:
            return []
        taken = self.taken(key, unknown=unknown)
        quotas = [rule.occupancy(taken, self._empty_ns(key)) for rule in rules]
        wrong = []
        for index in indices:
            sent_ns, received_ns = key.rejected[index]
            if any(quota.may_be_full(sent_ns, received_ns) for quota in quotas):
                continue
            most = [quota.most(sent_ns, received_ns) for quota in quotas]
            nearest = min(range(len(rules)), key=lambda q: rules[q].limit - most[q])
            wrong.append(WrongRejection(index, nearest, most[nearest] - self.denied_count))
        return wrong

    def counted(self, key: KeyLog, wrong: WrongRejection, tolerance: Tolerance) -> list[int]:
        """The rows of the requests that may have been in use, for evidence; not its own."""
        rule = self.rules(tolerance)[wrong.quota]
        occupancy = rule.occupancy(self.taken(key), self._empty_ns(key))
        rows = [*key.admitted_rows, *key.unknown_rows]
        if self.denied_count:
            rows += key.rejected_rows
        own = key.rejected_rows[wrong.index]
        counted = occupancy.counted(*key.rejected[wrong.index])
        return [rows[i] for i in counted if rows[i] != own]

    def taken(self, key: KeyLog, *, unknown: bool = True) -> list[tuple[int, int | None]]:
        """Return what may have used up the quota."""
        taken = key.maybe_admitted() if unknown else list[tuple[int, int | None]](key.admitted)
        return [*taken, *key.rejected] if self.denied_count else taken

    def _empty_ns(self, key: KeyLog) -> int | None:
        """The instant at which a bucket may have been empty: as the last request before the log was decided."""
        return None if self.fresh else self.known_ns(key)
