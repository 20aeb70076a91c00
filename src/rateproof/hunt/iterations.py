"""The hunt: one draw after the other against one target, each learning from those before."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from rateproof.clock import Tolerance
from rateproof.errors import Unreachable
from rateproof.hunt.exploration.attacks import FAMILIES, Attack
from rateproof.hunt.exploration.draw import (
    LONGEST_NS,
    book_length,
    book_words,
    delayed,
    draw,
    filling,
)
from rateproof.hunt.exploration.forgetting import FIRST_OTHERS, Forgetting
from rateproof.hunt.exploration.leads import Lead, Leads
from rateproof.hunt.exploration.pace import ALONE, QUICK_NS, SOUNDING, SOUNDING_NS, Pace
from rateproof.hunt.exploration.sight import Aim, Sight
from rateproof.hunt.exploration.traffic import CALM, SCHEDULE, Draw, calm, continued, paced
from rateproof.hunt.iteration import Iteration, has_answer, run_iteration
from rateproof.hunt.recipe import Phase
from rateproof.hunt.replay import LATE, scheduled, told_if_cut_short
from rateproof.hunt.rig import Rig
from rateproof.hunt.server.nemesis import Stroke, aftermath_ns, plan, witnesses
from rateproof.hunt.server.watch import Watch
from rateproof.hunt.settings import TestSettings
from rateproof.hunt.shrinking.reproduction import CONFIRMATIONS
from rateproof.output import progress, say
from rateproof.prove import VIOLATED
from rateproof.prove.power.weaknesses import FORGETS, WEAKNESSES, WORKERS
from rateproof.units import SECOND_NS, counted

_PATIENCE_S, _PATIENCE_TRIES, _UNASKED_TRIES = 0.5, 20, 6
_CALM_TRIES, _MOST_SHARE, _SOUNDINGS = 3, 0.8, 3
_HINT = "hint: more workers, a machine with less to do, or a smaller limit"


class Hunt:
    """Iteration after iteration against one target; each learns from those before."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        most = rig.settings.iterations
        self.most = most and most + len(_outer(rig.settings))
        self._leads = Leads()
        self.forgetting = Forgetting()
        tolerance = Tolerance(rig.settings.tolerance_ppm, rig.settings.granularity_ns)
        self._sight = Sight(rig.settings.policy, tolerance)
        self._pace: Pace | None = None
        self._calmed = Counter[Aim]()
        self._firsts = 0
        self.is_extra = False
        """True if the last iteration repeats attacks that came too spread out: it has no number."""
        self._is_broken = False
        self._known = False
        self._draws = 0
        self._tried = 0
        self._last: Draw | None = None

    def iterate(self, number: int) -> Iteration:
        """Draw, run and judge an iteration, and learn from it.

        Raises:
            Unreachable: the server that was started ended, and had never answered anything.
        """
        rig, settings = self.rig, self.rig.settings
        up = rig.child is not None or self._listens()
        if number == 1 and up:
            self._sound()
        drawn, phase = self._next(number)
        timely = settings.recipe is None or settings.recipe.phase is None or phase is not None
        if not timely:
            say(LATE)
        of = f" of {self.most}" if self.most and number <= self.most else ""
        with progress(f"iteration {number}{of}: {drawn.brief}", drawn.duration_ns / SECOND_NS):
            watch = None if rig.child is None else Watch(rig.child, _strokes(settings, drawn))
            iteration = run_iteration(
                rig,
                drawn,
                phase,
                watch=watch,
                known=self._known,
                up=up,
            )
        if (
            watch is not None
            and watch.first_end
            and not iteration.answered
            and self._ends_unasked()
        ):
            what = f"the server {watch.first_end} before it answered anything"
            words = watch.last_words and f"; its last words: {watch.last_words}"
            raise Unreachable(what + words, f"its command was {rig.child}")
        if settings.recipe is not None:
            iteration = told_if_cut_short(settings.recipe, iteration, timely=timely)
        self._known = iteration.answered
        self._leads.learn(drawn.attacks, iteration.log, settings.policy)
        self.forgetting.learn(drawn.attacks, iteration.log)
        self._is_broken |= iteration.verdict.outcome == VIOLATED
        self._see(drawn, iteration)
        if not (iteration.stopped or self.is_extra or self.left):
            self._tried = min(self._draws, settings.iterations or self._draws)
        return iteration

    def _sound(self) -> None:
        """Measure how fast the target answers, before anything is sent faster than that."""
        rig = self.rig
        if rig.settings.recipe or rig.keyring or rig.settings.max_requests:
            return
        for _ in range(_SOUNDINGS):  # the first answers of a server may take longer
            scenario = rig.scenario((SOUNDING,), SOUNDING_NS)
            scenario = replace(scenario, timeout_ns=min(scenario.timeout_ns, SOUNDING_NS))
            with nullcontext() if rig.child is None else Watch(rig.child):
                log = rig.send(scenario)
            found = Pace.of(log)
            if found is not None and None in log.column("status"):
                self._outwait()
            self._keep_to(
                min(filter(None, (found, self._pace)), key=lambda pace: pace.each_ns, default=None)
            )
            self._known |= found is not None
            if found is None or found.each_ns < QUICK_NS or rig.stop.is_set():
                break

    def _outwait(self) -> None:
        """Wait until what nobody waits for any more is worked off: else the next would wait for it."""
        for _ in range(_SOUNDINGS):
            rig = self.rig
            if rig.stop.is_set() or has_answer(rig.send(rig.scenario((ALONE,), SOUNDING_NS))):
                return

    def _keep_to(self, pace: Pace | None) -> None:
        """Send no faster from now on, nor what repeats a finding."""
        self._pace = pace
        most = None if pace is None else _MOST_SHARE * pace.answers_per_s
        self.rig = replace(self.rig, answers_per_s=most)

    def _see(self, drawn: Draw, iteration: Iteration) -> None:
        """Take in what the attacks of a run would have shown; if too little, the next are slower."""
        if iteration.stopped:  # what it did not try is told in any case
            return
        missed, log = set(self._sight.missed), iteration.log
        self._sight.learn(drawn.attacks, log)
        if set(self._sight.missed) - missed:
            self._keep_to(Pace.of(log) if self._pace is None else self._pace.slower())

    @property
    def seen(self) -> str:
        """The known weaknesses that would have been seen, and after what pauses, in plain words.

        Of forgetting nothing is known before the last of the attacks with which every test begins.
        """
        aims = [aim for aim in self._sight.seen if aim not in self._missed]
        words = self._sight.words(
            [aim for aim in aims if aim[1] is not FORGETS or not self.untried]
        )
        return words and f"{words}; {self._sight.reach}"

    @property
    def unseen(self) -> str:
        """A sentence on those that attacks were sent for in vain; nothing if there are none."""
        missed = self._sight.words(self._missed)
        if not missed:
            return ""
        told = "" if self._pace is None else f", for {self._pace}"
        return f"{missed} would not have been seen: bursts came too spread out{told} ({_HINT})"

    @property
    def _missed(self) -> list[Aim]:
        """The weaknesses that attacks were sent for in vain; of forgetting, also if no others came between.

        What keys of a file are too few for is told of them, and what has not been tried is told to be so.
        """
        alone = self.forgetting.tried and not self.forgetting.reached and not self.rig.keyring
        forgets = [aim for aim in self._sight.seen if alone and aim[1] is FORGETS]
        missed = self._sight.missed + forgets
        return [aim for aim in missed if not (self.untried and aim[1] is FORGETS)]

    @property
    def untried(self) -> tuple[str, ...]:
        """The attacks with which every test begins that this one has not sent whole, in plain words."""
        settings = self.rig.settings
        return () if settings.recipe else tuple(book_words(settings.policy, self._tried))

    @property
    def remedy(self) -> str:
        """The means that a test which ended before all attacks had too little of."""
        rig, most = self.rig, self.rig.settings.max_requests
        if rig.keyring is not None and rig.keyring.spent:
            return "more keys"
        return (
            "more requests" if most and rig.sent["requests"] >= most else "more time or iterations"
        )

    @property
    def unwaited(self) -> tuple[int, ...]:
        """The windows, in ns, that are too long for bursts around their ends."""
        settings = self.rig.settings
        windows = () if settings.recipe else (one.window_ns for one in settings.policy.quotas)
        return tuple(window_ns for window_ns in windows if window_ns > LONGEST_NS)

    def _calmly(self, number: int, aims: Sequence[Aim]) -> Draw | None:
        """Attacks for these weaknesses one client at a time, where that was not tried often enough."""
        pace, aims = self._pace, list(filter(self._may_calm, aims))
        if pace is None or not aims:
            return None
        attacks = pace.calm(self.rig.settings.policy, aims, self._calmed[aims[0]])
        self._calmed.update(aims)
        return calm(self.rig.settings.seed, number, attacks, pace, self.rig.most_clients)

    def _may_calm(self, aim: Aim) -> bool:
        """Tell if attacks for a weakness, one client at a time, may show more than is known."""
        pace, quota = self._pace, self.rig.settings.policy.quotas[aim[0]]
        if self._is_broken or pace is None:
            return False
        if aim[1] is FORGETS and pace.between(quota) is None:
            return False
        return self._calmed[aim] < _CALM_TRIES and pace.reaches(quota)

    def _known_weaknesses(self, drawn: Draw) -> list[Aim]:
        """Those that were not tried yet of quotas that a draw presses, as far as there is time to wait."""
        quotas = dict.fromkeys(each.quota for each in drawn.attacks)
        aims = [(quota, weakness) for quota in quotas for weakness in WEAKNESSES]
        windows = [quota.window_ns for quota in self.rig.settings.policy.quotas]
        return [
            (quota, weakness)
            for quota, weakness in aims
            if (weakness in {WORKERS, FORGETS} or windows[quota] <= LONGEST_NS)
            and not self._calmed[quota, weakness]
            and (quota, weakness) not in self._sight.seen
        ]

    def _next(self, number: int) -> tuple[Draw, Phase | None]:
        """Choose the traffic: first what the last iteration had too few keys for."""
        rig, last, phase = self.rig, self._last, None
        self.is_extra = False
        if last is not None and self.left:
            drawn = continued(replace(last, left=self.left), number, rig.most_clients)
            drawn = paced(drawn, self._pace)
        elif found := self._calmly(number, self._missed):
            drawn, self.is_extra = found, True
        else:
            lead, others = self._leads.best(), self.forgetting.next
            drawn, phase = traffic(
                rig.settings, self._draws + 1, lead, others, keys=rig.most_clients, pace=self._pace
            )
            first = self._calmly(number, self._known_weaknesses(drawn)) if drawn.is_paced else None
            self._draws += first is None
            self._firsts += first is not None and not _outer(rig.settings)
            drawn = first or replace(drawn, iteration=number)
        self._last = drawn
        return drawn, phase

    @property
    def left(self) -> tuple[Attack, ...]:
        """Attacks of the last draw that there were too few keys or too little time for."""
        left = () if self._last is None else self._last.left
        pace, quotas = self._pace, self.rig.settings.policy.quotas
        return tuple(each for each in left if pace is None or pace.reaches(quotas[each.quota]))

    @property
    def keys_told(self) -> str:
        """The use of the keys of a file, and what was not tried for lack of them."""
        keyring = self.rig.keyring
        if keyring is None:
            return ""
        missed = list(dict.fromkeys(FAMILIES[each.family].words for each in self.left))
        all_keys = len(keyring.keys.keys)
        if all_keys < CONFIRMATIONS:
            missed.append(f"schedules with more than {counted(all_keys, 'client')}")
        if all_keys < 2 * FIRST_OTHERS:
            missed.append(f"more than {all_keys // 2} other clients between two bursts")
        return keyring.told + (f"; not tried with so few: {', '.join(missed)}" if missed else "")

    @property
    def done(self) -> bool:
        """True after the last iteration."""
        settings, most = self.rig.settings, self.most
        known = min(settings.iterations or 0, book_length(settings.policy))
        is_enough = most is not None and self._draws + self._firsts >= most
        is_enough &= settings.recipe is not None or self._draws >= known
        return is_enough and not self.left and not any(map(self._may_calm, self._missed))

    def _ends_unasked(self) -> bool:
        """Tell if the server that was started again ends without a request, too: that is no crash."""
        child = self.rig.child
        for _ in range(_UNASKED_TRIES):
            if child is None or not child.running or child.died() is not None:
                return True
            if self.rig.stop.wait(_PATIENCE_S):
                break
        return False

    def _listens(self) -> bool:
        """Find a server at the target, after some time for one that went away to come back.

        One that neither accepts a connection nor refuses it is there.
        """
        for _ in range(_PATIENCE_TRIES):
            if self.rig.settings.target.accepts() is not False:
                return True
            if self.rig.stop.wait(_PATIENCE_S):
                break
        return False


def _outer(settings: TestSettings) -> list[Attack]:
    """Draws that fill the quotas that others delay, an iteration each; none for a given schedule."""
    return [] if settings.recipe else delayed(settings.policy, settings.outer_time_ns)


def traffic(
    settings: TestSettings,
    number: int,
    lead: Lead | None = None,
    others: int | None = None,
    *,
    keys: int | None = None,
    pace: Pace | None = None,
) -> tuple[Draw, Phase | None]:
    """Choose the traffic of an iteration, and its phase in windows from the epoch."""
    if settings.recipe is not None:
        return scheduled(settings.recipe, number, settings, keys)
    outer = _outer(settings)
    book = min(settings.iterations or number, book_length(settings.policy))
    if book < number <= book + len(outer):
        return filling(settings.seed, number, outer[number - book - 1], keys), None
    drawn = draw(
        settings.seed,
        number,
        settings.policy,
        lead=lead,
        others=others,
        max_rate=settings.max_rate,
        keys=keys,
    )
    drawn = paced(drawn, pace)
    if settings.nemesis:
        quota = settings.policy.quotas[0]
        group = witnesses(quota)
        drawn = replace(
            drawn,
            groups=(*drawn.groups, group),
            duration_ns=drawn.duration_ns + aftermath_ns(quota),
            note=f"{drawn.note}; {group.clients} witnesses",
        )
    return drawn, None


def _strokes(settings: TestSettings, drawn: Draw) -> tuple[Stroke, ...]:
    if not settings.nemesis or (settings.recipe is None and drawn.shape in {SCHEDULE, CALM}):
        return ()
    quota, duration_ns = settings.policy.quotas[0], drawn.duration_ns
    if settings.recipe is None:
        duration_ns -= aftermath_ns(quota)
    return plan(drawn.seed, drawn.iteration, duration_ns, quota.window_ns, settings.nemesis)
