"""One log before one policy: what is found against each claim, key by key."""

from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from dataclasses import InitVar, dataclass, field, replace
from typing import Final

from rateproof.clock import EXACT, Interval, Tolerance
from rateproof.events import EventLog
from rateproof.events.judged import is_long
from rateproof.events.pieces import Pieces
from rateproof.policy import Policy
from rateproof.prove.evidence.exhibits import Exhibits
from rateproof.prove.evidence.piece import MOST_EVIDENCE, Evidence
from rateproof.prove.headers import Headers, headers_of
from rateproof.prove.keys import KeyLog, covered, cut_off, fresh, requests_missing
from rateproof.prove.over_admission.breach import MOST_EFFORT, Breach, find_breach
from rateproof.prove.over_admission.families import Model
from rateproof.prove.over_admission.gaps import Exhausted
from rateproof.prove.power.doubts import Doubts
from rateproof.prove.power.sensitivity import Sensitivity, sensitivity, unseen
from rateproof.prove.screen import Survey, Suspect, screened, survey, survey_of
from rateproof.prove.terms import OVER_ADMISSION
from rateproof.prove.wrong_rejection.rules import Judgement, WrongRejection
from rateproof.prove.wrong_rejection.together import Excerpt, find_together

DEFAULT_BUDGET: Final = 5_000_000
"""Positions that may be decided again over a whole log: seconds, not minutes."""


@dataclass
class Trial:
    """Everything needed to judge one log."""

    log: EventLog
    policy: Policy
    tolerance: Tolerance
    budget: int  # positions that may be decided again; counts down, in long logs for each key anew
    claims: InitVar[frozenset[str]]
    denied_count: bool = False
    only: InitVar[frozenset[int] | None] = None  # rows of the rejections to judge; None: all
    with_headers: InitVar[bool] = False  # `headers` is going to be asked
    parted: Callable[..., Survey] | None = None  # surveys a log in pieces
    survey: Survey = field(init=False)
    fresh: bool = field(init=False)
    cut_off: bool = field(init=False)
    share: int = field(init=False)
    effort: int = field(init=False, default=MOST_EFFORT)
    _judgement: Judgement = field(init=False)
    _model: Model = field(init=False)
    _exhibits: Exhibits = field(init=False)

    def __post_init__(
        self, claims: frozenset[str], only: frozenset[int] | None, with_headers: bool
    ) -> None:
        self.denied_count |= any(quota.record.counts_denied for quota in self.policy.quotas)
        self.fresh = fresh(self.log)
        self.cut_off = cut_off(self.log)
        known = covered(self.log)
        judgement = Judgement(
            self.policy,
            self.fresh,
            self.cut_off,
            denied_count=self.denied_count,
            only=only,
            since_ns=known.get("since_ns"),
            until_ns=known.get("until_ns"),
        )
        asked = (self.log, self.policy, self.tolerance, judgement)
        over = OVER_ADMISSION in claims
        if self.parted is not None and isinstance(self.log, Pieces):
            headers = with_headers and not self.cut_off
            self.survey = self.parted(*asked, over_admission=over, headers=headers)
        else:
            self.survey = screened(*asked, over_admission=over) or survey(*asked)
        self.share = self.budget
        self._judgement = replace(judgement, longest_ns=self.survey.longest_ns)
        self._model = Model.of(self.policy, self.tolerance)
        self._exhibits = Exhibits(self.log, self.policy)

    def of_key(self, key: KeyLog, budget: int, *, cleared: bool) -> "Trial":
        """The same of one of its keys alone; what concerns the whole log stays.

        No effort is made to leave requests out of evidence: there may be very many keys.
        """
        trial = copy(self)
        trial.budget = trial.share = budget
        trial.effort = 0
        trial.survey = survey_of([key], self.policy, self.tolerance, self._judgement)
        if cleared:
            trial.survey = replace(trial.survey, suspects=())
        return trial

    def headers(self) -> Headers | None:
        """Return what became of what the limiter said in header fields."""
        if self.cut_off or isinstance(self.log, Pieces):
            return self.survey.headers
        return headers_of(
            self.log,
            self.policy,
            self.tolerance,
            known_after_ns=0 if self.fresh else self.survey.longest_ns,
            denied_count=self.denied_count,
            by_key=self.survey.by_key,
        )

    def over_admissions(self, doubts: Doubts) -> list[Evidence]:
        """One piece of evidence for each key that certainly got too much, the shortest first.

        As many as a verdict shows are found a second time, then with as few requests as can be.
        """
        found: list[tuple[KeyLog, Breach, int, int]] = []
        for suspect in self._suspects():
            if self._clears(suspect.tolerated):
                continue
            key, budget = (suspect.broken or suspect.load)(), self.budget
            breach = self._breach(key, key.admitted, self._model, doubts)
            if breach is None:
                continue
            one = key, breach, budget, suspect.number
            if found and _same_key(key, found[-1][0]):
                one = min(found.pop(), one, key=_plainness)
            found.append(one)
        found.sort(key=_plainness)
        # Of a log in pieces, every piece is read once.
        shown: dict[int, Evidence] = {}
        for at in sorted(range(len(found)), key=lambda at: found[at][0].admitted_rows[0]):
            key, breach, budget, _ = found[at]
            reduced = self._reduced(key, breach, budget) if at < MOST_EVIDENCE else breach
            shown[at] = self._exhibits.over_admission(key, reduced)
        return [shown[at] for at in range(len(found))]

    def doubt_over_admission(self, doubts: Doubts) -> None:
        """Note what would have been a breach; for a log that has none."""
        exact = Model.of(self.policy, EXACT)
        for suspect in self._suspects():
            in_doubt = not doubts.tolerance and self.tolerance != EXACT
            if in_doubt and not self._clears(suspect.exact):
                key = suspect.load()
                found = self._breach(key, key.admitted, exact, doubts)
                doubts.tolerance = found is not None
            if not doubts.unknowns and not self._clears(suspect.unknown):
                key = suspect.load()
                if ended := key.ended_unknowns():
                    found = self._breach(key, key.admitted + ended, self._model, doubts)
                    doubts.unknowns = found is not None

    @property
    def left(self) -> int:
        """The means that are left for another look at the same log."""
        return self.share if is_long(self.log) else self.budget

    def _suspects(self) -> Iterator[Suspect]:
        """Every suspect; in a long log each has the means of the whole, or pieces would matter.

        All stretches of a key, which come one after the other, have them together.
        """
        before = None
        for suspect in self.survey.suspects:
            if is_long(self.log) and (suspect.number != before or not self._in_stretches):
                self.budget = self.share
            before = suspect.number
            yield suspect

    @property
    def _in_stretches(self) -> bool:
        return isinstance(self.log, Pieces) and self.log.has_stretches

    def _clears(self, cost: int | None) -> bool:
        """True if a search is known to find nothing; its cost is then paid as if it had been made.

        Without the means it would give up on the way, so it must be made.
        """
        if cost is None or cost > max(0, self.budget):
            return False
        self.budget -= cost
        return True

    def _breach(
        self, key: KeyLog, jobs: Sequence[Interval], model: Model, doubts: Doubts
    ) -> Breach | None:
        whole = self._whole(key)
        found, spent = find_breach(jobs, model, self.budget, whole=whole, effort=0)
        self.budget -= spent
        if isinstance(found, Exhausted):
            doubts.exhausted += 1
            return None
        return found

    def _reduced(self, key: KeyLog, breach: Breach, budget: int) -> Breach:
        """The breach that was found with this budget, after others' requests were left out."""
        if breach.minimal:
            return breach
        found, _ = find_breach(
            key.admitted, self._model, budget, whole=self._whole(key), effort=self.effort
        )
        return found if isinstance(found, Breach) else breach

    def _whole(self, key: KeyLog) -> bool:
        """Tell whether its admissions are all hits that the limiter ever counted of a key."""
        # Of several quotas, one may have counted what another rejected.
        counted = key.unknown or (len(self.policy.quotas) > 1 and key.rejected)
        return self._of(key).whole and not counted

    def _of(self, key: KeyLog) -> Judgement:
        return self._judgement.within(key.stretch, self.tolerance)

    def sensitivity(self, *, windows: bool, fresh: bool | None = None) -> tuple[Sensitivity, ...]:
        """The least excess that the keys which pressed hardest could have shown.

        Args:
            windows: whether to look for windows that are too short as well.
            fresh: whether to take the keys for fresh; None: as the log says.
        """
        fresh = self.fresh if fresh is None else fresh
        if requests_missing(self.log):
            return unseen(self.policy)
        keys = (load() for load in self.survey.pressed)
        known = [key if fresh else self._known(key) for key in keys]
        return sensitivity(
            [key for key in known if key.requests],
            self.policy,
            self.tolerance,
            windows=windows,
            fresh=fresh,
        )

    def _known(self, key: KeyLog) -> KeyLog:
        """Those of its requests before which all that came before the log was decided.

        See `Judgement.known_ns`.
        """
        known_ns = self._of(key).known_ns(key)
        since_ns = 2**63 if known_ns is None else known_ns
        return replace(
            key,
            first_sent_ns=since_ns,
            admitted=[one for one in key.admitted if one[0] >= since_ns],
            rejected=[one for one in key.rejected if one[0] >= since_ns],
            unknown=[],
        )

    def wrong_rejections(self) -> Iterator[Evidence]:
        """One piece of evidence for each key that was certainly rejected without need."""
        found: list[tuple[int, Evidence]] = []
        before: tuple[KeyLog, tuple[int, Interval, int]] | None = None
        for suspect in self.survey.suspects:
            if not suspect.wrong:
                continue
            key = suspect.load()
            wrong = self._wrong(key, self.tolerance)
            if not wrong:
                continue
            # The emptiest window is the plainest evidence, of equal ones the first in time.
            order = [(one.most, key.rejected[one.index], one.index) for one in wrong]
            least = min(order)
            if before is not None and _same_key(key, before[0]):
                if before[1] <= least:
                    continue
                found.pop()
            before = key, least
            plainest = wrong[order.index(least)]
            found.append((suspect.number, self._wrong_rejection(key, plainest)))
        return _in_order(found)

    def wrong_together(self, doubts: Doubts) -> Iterator[Evidence]:
        """One piece of evidence for each key of which not all rejections can be explained.

        For a log against which nothing plainer was found.
        """
        explained: list[tuple[int, Evidence]] = []
        for suspect in self._suspects():
            # What is known of all rejections of a key may not be so of some alone.
            if self._judgement.only is None and self._clears(suspect.joint):
                continue
            if self.budget < 0 and self._in_stretches:
                doubts.exhausted += 1
                continue
            key = suspect.load()
            if explained and key.stretch is not None and explained[-1][1].key == key.key:
                continue
            found, spent = self._together(key, self._of(key))
            self.budget -= spent
            if isinstance(found, Exhausted):
                doubts.exhausted += 1
            elif found is not None:
                explained.append((suspect.number, self._wrong_together(key, found)))
        return _in_order(explained)

    def right_if_denied_count(self, keys: Collection[bytes]) -> bool:
        """True if the rejections of these keys are explained if denied requests use quotas too."""
        judgement = replace(self._judgement, denied_count=True)
        if self.denied_count or not judgement.rules(self.tolerance):
            return False
        for key in (suspect.load() for suspect in self.survey.suspects):
            if key.key not in keys:
                continue
            if key.stretch is not None:
                return False  # who was cleared is not asked here
            judged = judgement.judged(key, self.tolerance)
            if judgement.wrong(key, judged, self.tolerance):
                return False
            if self._together(key, judgement)[0] is not None:
                return False
        return True

    def _together(
        self, key: KeyLog, judgement: Judgement
    ) -> tuple[Excerpt | Exhausted | None, int]:
        logs = judgement.logs(self.tolerance)
        judged = judgement.judged(key, self.tolerance)
        count = judgement.denied_count
        return find_together(key, judged, logs, max(0, self.budget), denied_count=count)

    def doubt_wrong_rejection(self, doubts: Doubts) -> None:
        """Note what would have been a wrong rejection; for a log that has none."""
        survey = self.survey
        if survey.wrong_if_exact is not None and survey.wrong_if_unknown is not None:
            doubts.tolerance |= self.tolerance != EXACT and survey.wrong_if_exact
            doubts.unknowns |= survey.wrong_if_unknown
            return
        for key in (suspect.load() for suspect in survey.suspects):
            if not doubts.tolerance and self.tolerance != EXACT:
                doubts.tolerance = bool(self._wrong(key, EXACT))
            if not doubts.unknowns and key.unknown:
                doubts.unknowns = bool(self._wrong(key, self.tolerance, unknown=False))

    def _wrong(
        self, key: KeyLog, tolerance: Tolerance, *, unknown: bool = True
    ) -> list[WrongRejection]:
        judgement = self._of(key)
        indices = judgement.judged(key, self.tolerance)
        return judgement.wrong(key, indices, tolerance, unknown=unknown)

    def _wrong_rejection(self, key: KeyLog, wrong: WrongRejection) -> Evidence:
        return self._exhibits.wrong_rejection(
            key,
            self._of(key).counted(key, wrong, self.tolerance),
            [key.rejected_rows[wrong.index]],
            quota=wrong.quota,
            rule=self._judgement.rules(EXACT)[wrong.quota],
            seen=wrong.most,
        )

    def _wrong_together(self, key: KeyLog, found: Excerpt) -> Evidence:
        others = [key.rejected_rows[i] for i in found.others]
        quotas = self.policy.quotas
        longest = max(range(len(quotas)), key=lambda quota: quotas[quota].window_ns)
        return self._exhibits.wrong_rejection(
            key,
            [key.admitted_rows[i] for i in found.admitted] + others,
            [key.rejected_rows[i] for i in found.rejected],
            quota=longest,
            rule=self._judgement.rules(EXACT)[longest],
            seen=None,
        )


def _same_key(one: KeyLog, other: KeyLog) -> bool:
    """True of two stretches of one key."""
    return one.stretch is not None and one.key == other.key


def _plainness(found: tuple[KeyLog, Breach, int, int]) -> tuple[int, int, int]:
    _, breach, _, number = found
    return len(breach.core), -breach.slack_ns, number


def _in_order(found: list[tuple[int, Evidence]]) -> Iterator[Evidence]:
    return (piece for _, piece in sorted(found, key=lambda one: one[0]))
