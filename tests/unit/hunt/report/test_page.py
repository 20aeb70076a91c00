"""The page: what it says, what it must never do, and how large it gets."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from rateproof.events import EventLog
from rateproof.hunt.recipe import Recipe
from rateproof.hunt.report.findings import Findings
from rateproof.hunt.report.page import page
from rateproof.hunt.report.totals import Totals
from rateproof.hunt.server.nemesis import Deed
from rateproof.hunt.shrinking.reproduction import Reproduction, Tries
from rateproof.hunt.worst.search import Worst
from rateproof.policy import Policy
from rateproof.prove import VIOLATED, Verdict, judge
from rateproof.simulate.behaviours.schedule import Schedule

ATTACK = b"</script><img src=http://evil.example/x onerror=alert(1)>$$\\x$$"
BREACH = (0, 0.1, 0.2, 0.3, 0.4, 0.5)
LOG = Path("test_log_1.jsonl")


class Reader(HTMLParser):
    """Elements with their attributes, and the text of those that people read."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.scripts = [], "", []
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        self.text += " "

    def handle_endtag(self, tag):
        assert tag in self._open, f"</{tag}> closes nothing"
        while self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] != ["style"]:
            self.text += data

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


def judged(subject, log, verdict):
    """The findings of a log."""
    findings = Findings(subject, Totals())
    findings.totals.judge(verdict)
    findings.observe(log, verdict)
    return findings


@pytest.fixture
def read(subject):
    """The page on a log that was judged."""

    def make(log):
        return Reader(page(judged(subject, log, judge(log, Policy.parse("5 per 5s")))))

    return make


def test_the_verdict_comes_first_in_words_with_its_evidence(read, log_of):
    found = read(log_of(*BREACH))
    words = found.text.split()
    assert words.index("VIOLATED:") < words.index("admitted") < words.index("URL")
    assert "6 let through in 5 s, 5 promised" in found.text
    (lead,) = re.findall(r"key 'a': requests #1 … #6 were all decided within 0.501 s", found.text)[
        :1
    ]
    assert lead
    assert "[====" in found.text or "window" in found.text


@pytest.mark.parametrize(
    ("at_s", "rejected", "outcome"),
    [
        (BREACH, (), "violated"),
        (range(0, 40, 2), (), "inconclusive"),
        (BREACH[:5], (0.6, 0.7), "consistent"),
    ],
)
def test_every_outcome_has_a_page(read, log_of, at_s, rejected, outcome):
    found = read(log_of(*at_s, rejected=rejected))
    word = "NOT TESTED" if outcome == "inconclusive" else outcome.upper()
    assert f" {word}: " in found.text
    assert found.all("body") == [{"class": outcome}]


def test_a_key_can_put_nothing_on_the_page_but_its_text(read, log_of):
    harmless, hostile = (read(log_of(*BREACH, lost=[1], key=key)) for key in (b"a", ATTACK))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    assert "</script><img src=http://evil.example" in hostile.text
    assert not any("evil" in script for script in hostile.scripts)


def test_what_the_server_and_the_command_line_say_is_only_text(subject, log_of, iteration_of):
    hostile = ATTACK.decode()
    findings = Findings(
        type(subject)(
            verb="test",
            target=hostile,
            policy=hostile,
            key=hostile,
            command=hostile,
            settings={hostile: hostile},
        ),
        Totals(),
    )
    crash = SimpleNamespace(at_s=1.0, what=hostile)
    findings.add_iteration(iteration_of(log_of(*BREACH), crashes=[crash]), Path(hostile[:20]))
    found = Reader(page(findings))
    assert found.all("img") == []
    assert len(found.all("script")) == 1
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)


def test_it_loads_nothing_and_forbids_itself_to(read, log_of):
    found = read(log_of(*BREACH, key=ATTACK))
    addressed = [a for _, a in found.elements if {"src", "href", "action", "data"} & a.keys()]
    assert addressed == []
    assert found.all("link", "iframe", "object", "base", "form", "img") == []
    (policy,) = [a["content"] for a in found.all("meta") if a.get("http-equiv")]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert "unsafe-eval" not in policy
    assert found.elements.index(
        ("meta", {"http-equiv": "Content-Security-Policy", "content": policy})
    ) < [tag for tag, _ in found.elements].index("style"), "it holds for what comes after it"


def test_it_can_be_read_without_seeing_it(read, log_of):
    found = read(log_of(*BREACH, rejected=[1]))
    assert found.all("html") == [{"lang": "en"}]
    headings = [tag for tag, _ in found.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert all(int(b[1]) - int(a[1]) <= 1 for a, b in pairwise(headings))
    assert found.all("th")
    assert all("scope" in attributes for attributes in found.all("th"))
    charts = [a for a in found.all("div", "figure") if a.get("role") == "img"]
    assert len(charts) == 3
    assert all(a["role"] == "img" and a["aria-label"] for a in charts)
    names = [a["id"] for _, a in found.elements if "id" in a]
    assert len(names) == len(set(names))
    assert {a["aria-labelledby"] for a in found.all("section")} <= set(names)


def test_a_test_without_end_has_a_page_of_bounded_size(subject, log_of, iteration_of):
    findings = Findings(subject, Totals())
    crash = SimpleNamespace(at_s=0.5, what="server was killed")
    sizes = []
    for number in range(1, 601):
        log = log_of(*(number * 10 + s for s in BREACH), key=b"client %d" % number)
        iteration = iteration_of(log, number, crashes=[crash])
        findings.totals.add(iteration)
        findings.add_iteration(iteration, LOG)
        if number % 300 == 0:
            sizes.append(len(page(findings)))
    assert sizes[1] < sizes[0] + 5_000
    assert sizes[1] < 100_000
    text = page(findings)
    assert "100 of 600" in text
    assert "3600" in text, "the totals are of all"


def test_before_anything_was_sent_it_says_so(subject):
    found = Reader(page(Findings(subject, Totals())))
    assert "Nothing was sent" in found.text
    assert " INCONCLUSIVE: no run was judged" in found.text


def test_the_shortest_schedule_and_its_command_stand_before_the_evidence(
    subject, log_of, iteration_of
):
    findings = Findings(subject, Totals())
    iteration = iteration_of(log_of(*BREACH))
    findings.totals.add(iteration)
    recipe = Recipe(Schedule.parse("1 at 0s, 4 at 4.9s, 2 at 5.1s"))
    command = ["rateproof", "test", "--schedule", str(recipe.schedule)]
    findings.totals.reproductions.append(
        Reproduction("over-admission", recipe, Tries(6, 6), complete=True, command=command)
    )
    findings.add_iteration(iteration, LOG)
    found = Reader(page(findings))
    text = " ".join(found.text.split())
    schedule = text.index("1 at 0 s, 4 at 4.9 s, 2 at 5.1 s")
    assert schedule < text.index("6 of 6 fresh clients") < text.index("rateproof test --schedule")
    assert schedule < text.index(" Evidence")


def test_of_more_pieces_than_are_shown_it_says_how_many(read, log_of):
    few, log = log_of(*BREACH), log_of(*BREACH)
    for number in range(6):
        log_of(*BREACH, key=b"k%d" % number, log=log)
    assert "1 of 7 pieces, the first of each kind; the rest are in the logs" in " ".join(
        read(log).text.split()
    )
    assert "the rest are in the logs" not in read(few).text


def test_of_a_limiter_that_was_not_met_it_says_no_figures(read, log_of):
    log = EventLog()
    for event in log_of(*BREACH):
        log.append(replace(event, status=302))
    assert "How hard it was pressed" not in read(log).text
    assert "How hard it was pressed" in read(log_of(*BREACH)).text


def test_crashes_and_deeds_are_told_in_the_order_of_the_test(subject, log_of, iteration_of):
    findings = Findings(subject, Totals())
    deed = Deed("kill", at_ns=1_500_000_000, start_ns=0, worker=2, until_ns=1_500_000_000)
    crash = SimpleNamespace(at_s=2.0, what="server ended with code 3")
    log = log_of(*BREACH)
    log.metadata["start_ns"] = 0
    findings.add_iteration(iteration_of(log, crashes=[crash], nemesis=(deed,)), LOG)
    text = Reader(page(findings)).text
    assert text.index("killed worker 2") < text.index("crash: server ended with code 3")
    assert "1.50\N{NO-BREAK SPACE}s" in text
    assert "2.00\N{NO-BREAK SPACE}s" in text


def test_a_test_that_did_not_end_in_order_says_so(subject):
    findings = Findings(subject, Totals())
    findings.totals.failed = "no space left on device"
    assert "did not end in order: no space left" in Reader(page(findings)).text


def test_headers_that_lied_are_not_held_against_the_limit(subject, log_of):
    log = log_of(*range(5))
    verdict = judge(log, Policy.parse("5 per 5s"))
    reasons = ("headers: 1 of 1 statements that were put to the test was false",)
    for more, words in (
        ((), "What the answers' headers said"),
        (
            ("wrong-rejection: 1 request",),
            "No limiter that keeps the policy",
        ),
    ):
        found = replace(verdict, outcome=VIOLATED, reasons=(*more, *reasons))
        assert words in Reader(page(judged(subject, log, found))).text


def test_the_worst_that_was_found_is_shown_with_its_command(subject, log_of):
    log = log_of(*BREACH)
    findings = judged(subject, log, judge(log, Policy.parse("5 per 5s")))
    recipe = Recipe(Schedule.parse("40 at 0s"), connections=40)
    growth = "proportional to connections, as far as tried (40)"
    worst = Worst("5 per 5s", 20, 22, 5, 5 * 10**9, recipe, growth, "rateproof test x")
    findings.totals.worst = [worst]
    found = " ".join(Reader(page(findings)).text.split())
    assert "VIOLATED: 20 let through in 5 s, 5 promised (4" in found
    assert "Between 20 and 22 let through in 5 s, 5 promised" in found
    assert f"How it grows: {growth}. Copy rateproof test x" in found


def test_no_line_breaks_within_an_option(subject):
    """Browsers break a line after each hyphen, and half an option cannot be read or copied."""
    text = page(
        judged(subject, EventLog(), Verdict("inconclusive", ("a: b (c: d); try --admitted 302",)))
    )
    assert (
        '<span class="rest"> b (c: d); try <span class="option">--admitted</span> 302</span>'
        in text
    )
    assert "? INCONCLUSIVE: a:" in " ".join(Reader(text).text.split())
