"""What a probe prints of what a server says."""

from collections import Counter
from dataclasses import replace

from rateproof.hunt.probe.course import Course
from rateproof.hunt.probe.families import FAMILIES
from rateproof.hunt.probe.finding import Finding
from rateproof.hunt.probe.hello import Hello
from rateproof.hunt.probe.infer import Kind
from rateproof.hunt.probe.report import describe
from rateproof.units import SECOND_NS


def finding(hello):
    return Finding(
        url="http://127.0.0.1:1/",
        key="query:clientId",
        course=Course(),
        kinds=(),
        delaying=False,
        workers=None,
        dimensions=(),
        hello=hello,
        statuses=Counter({302: 1}),
        requests=1,
        elapsed_ns=1,
    )


def test_nothing_that_a_server_says_acts_on_a_terminal():
    wild = "\x1b[2J\x9b1m\u202e\r"
    hello = Hello(302, f"/login{wild}", {f"x-ratelimit-{wild}": f"5{wild}"})
    text = describe(finding(hello))
    assert all(line.isprintable() for line in text.split("\n"))
    assert r"x-ratelimit-\x1b[2J" in text
    assert r": 5\x1b[2J\x9b1m\u202e\r (not relied on)" in text
    assert r"/login\x1b[2J" in text


def test_a_family_is_named_once_and_only_where_the_policy_does_not_name_it():
    kinds = tuple(Kind(family, 5, 5 * SECOND_NS, 5 * SECOND_NS, []) for family in FAMILIES)
    text = describe(replace(finding(Hello(200, "", {})), kinds=kinds))
    assert {family.name for family in FAMILIES} >= {"fixed-window", "sliding-log"}
    assert "fixed-window 5 per 5s\n" in text
    assert "(fixed-window)" not in text
