"""The advice fits what is known of the league's limiters."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from league.limiters import ROWS
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.report import advice as advice_module
from rateproof.hunt.report.advice import Advice, advice
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.shrinking.reproduction import Reproduction, Tries
from rateproof.hunt.worst.search import Worst
from rateproof.options.declared import VERBS
from rateproof.policy import Policy
from rateproof.prove import judge
from rateproof.prove.diagnosis.hypotheses import Diagnosis
from rateproof.simulate.behaviours.schedule import Schedule

BREACH, POLICY = (0, 0.1, 0.2, 0.3, 0.4, 0.5), Policy.parse("5 per 5s")
CONNECTIONS, OTHERS = re.compile(r"on (\d+) connections"), re.compile(r"clients: (.*)")
TITLES = {
    "5 at once": "A bucket that refills meanwhile",
    # Its shortest schedule shows the bucket; that clients are forgotten shows in the worst found.
    "max_dynamic_descriptors": "A bucket that refills meanwhile",
    "worker counts for itself": "Requests that come together",
    "forgotten": "A store that forgets clients",
    "forgets": "A store that forgets clients",
    "culls": "A store that forgets clients",
    "window": "It counts window by window",
}
"""Words of the reasons that the league gives, the surest first, and what is to be advised."""


def league():
    """The rows with a schedule: name, the reason in their source, and that schedule."""
    why = {row.name: row.why for row in ROWS}
    page = (Path(__file__).parents[4] / "docs" / "league.md").read_text()
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) > 4 and cells[4].startswith("`") and cells[0] in why:
            yield cells[0], why[cells[0]], cells[4].split("`")[1]


def recipe_of(text):
    steps, *more = text.split("; ")
    about = "; ".join(more)
    connections, others = CONNECTIONS.search(about), OTHERS.search(about)
    return Recipe(
        Schedule.parse(steps),
        int(connections[1]) if connections else 1,
        Schedule.parse(others[1]) if others else None,
    )


def totals_of(log, recipe=None, tries=6, **changed):
    totals = Totals()
    totals.judge(replace(judge(log, POLICY), **changed))
    if recipe is not None:
        found = Reproduction(
            "over-admission", recipe, Tries(tries, 6), complete=True, command=["x"]
        )
        totals.reproductions.append(found)
    return totals


@pytest.mark.parametrize(("name", "why", "schedule"), [*league()], ids=lambda text: text[:40])
def test_each_limiter_of_the_league_is_advised_what_mends_it(name, why, schedule, log_of):
    (told,) = advice(totals_of(log_of(*BREACH), recipe_of(schedule)))
    wanted = next((title for word, title in TITLES.items() if word in why.lower()), None)
    assert told.title == wanted, f"{name}: {why}"


def test_the_league_has_rows_to_hold_it_to():
    assert len(list(league())) >= 20


def test_a_diagnosis_comes_first_and_is_said_once(log_of):
    totals = totals_of(log_of(*BREACH), diagnosis=(Diagnosis.SEVERAL_COUNTERS,))
    (told,) = advice(totals)
    assert told.title == "Several counters, or a higher limit"
    assert told.text.startswith("First compare the limit that is set")


def test_without_a_schedule_the_usual_causes_are_named(log_of):
    assert [each.title for each in advice(totals_of(log_of(*BREACH)))] == ["More than promised"]


def test_what_holds_needs_no_advice_and_what_was_not_tested_is_told_how(log_of):
    assert advice(totals_of(log_of(*BREACH[:5], rejected=[0.6]))) == []
    assert [each.title for each in advice(totals_of(log_of(0)))] == ["Not tested"]


def test_rejections_without_need_and_crashes_have_their_own(log_of):
    totals = totals_of(log_of(0, 1, rejected=[2]))
    totals.crashes["server died"] = 1
    titles = [each.title for each in advice(totals)]
    assert titles == ["Rejected without need", "The server crashed"]


def test_every_diagnosis_has_its_paragraph(log_of):
    names = [value for name, value in vars(Diagnosis).items() if name.isupper()]
    for name in names:
        totals = totals_of(log_of(*BREACH), diagnosis=(name,), evidence=())
        assert advice(totals)[0].title not in {
            "More than promised",
            "Headers that do not come true",
        }


def test_more_for_each_so_many_others_is_a_store_that_forgets(log_of):
    totals = totals_of(log_of(*BREACH), recipe_of("5 at 0 s, 1 at 1.1 s"))
    recipe = recipe_of("5 at 0 s, 5 at 1 s; meanwhile other clients: 20 at 0.5 s")
    growth = "5 more for each 20 others"
    totals.worst = [Worst("5 per 5s", 20, 20, 5, 5 * 10**9, recipe, growth, "x")]
    titles = [each.title for each in advice(totals)]
    assert titles == ["A bucket that refills meanwhile", "A store that forgets clients"]


def test_a_schedule_that_did_not_happen_again_points_to_nothing(log_of):
    """Others were there by chance: a store was told to forget clients."""
    recipe = recipe_of("5 at 0 s, 1 at 0.5 s; meanwhile other clients: 3 at 0 s")
    (told,) = advice(totals_of(log_of(*BREACH), recipe, tries=0))
    assert told.title == "More than promised"


def test_a_burst_on_one_connection_points_to_no_window(log_of):
    """A limit of 6 was told that it counts window by window."""
    (told,) = advice(totals_of(log_of(*BREACH), recipe_of("6 at 0 s")))
    assert told.title == "Several counters, or a higher limit"


def test_advice_names_options_that_there_are():
    told = [*vars(advice_module).values(), *advice_module._BY_DIAGNOSIS.values()]
    texts = " ".join(each.text for each in told if isinstance(each, Advice))
    named = set(re.findall(r"--[a-z-]+", texts))
    assert named
    assert named <= {option.flag for option in VERBS["test"].options}


def test_where_nothing_is_limited_no_other_cause_is_told(log_of):
    verdict = judge(log_of(*(second / 10 for second in range(20))), POLICY)
    assert verdict.diagnosis == (Diagnosis.NO_LIMIT,)
    totals = Totals()
    totals.judge(verdict)
    totals.reproductions.append(
        Reproduction(
            "over-admission",
            Recipe(Schedule.parse("6 at 0s")),
            Tries(6, 6),
            complete=True,
            command=[],
        )
    )
    assert [told.title for told in advice(totals)] == ["No limit at all"]
