"""Tables of the settings file that are of no verb alone: what is promised, and what is tested."""

from dataclasses import replace
from typing import Final

from rateproof.options.declared import JUDGING, LENGTH, PROMISE, REQUEST, VERBS
from rateproof.options.forms import NAME, URL_OR_PATH
from rateproof.options.kinds import NamedTables, Option, Section, Series, whole
from rateproof.options.verb import Verb

_OF_A_LIMIT: Final = ("key", "shadow", "exempt")
_SERVED: Final = {each.name: each for each in VERBS["serve"].options}


def _of_an_endpoint(test: Verb) -> dict[str, Option]:
    """Options that each endpoint may have for itself."""
    groups = (test.groups[name] for name in (PROMISE, REQUEST, LENGTH, JUDGING))
    return {each.in_file: each for group in groups for each in group}


LIMITS: Final = Option(
    "limits",
    NamedTables(
        NAME,
        Section(
            {
                "policy": replace(_SERVED["policy"], default=None, required=True),
                **{name: each for name, each in _SERVED.items() if name in _OF_A_LIMIT},
                "cost": Option("cost", whole(1, 1_000_000), "units that a request uses up", "1"),
            }
        ),
    ),
    "promises, by name",
)
"""The table of limits: what is promised, once for the server and its test."""

ENDPOINTS: Final = Option(
    "endpoints",
    Series(
        Section(
            {
                "name": Option("name", NAME, "what it is called", otherwise="its limit, or path"),
                **_of_an_endpoint(VERBS["test"]),
                "url": Option(
                    "url", URL_OR_PATH, "where, or a path at the url of [test]", required=True
                ),
            }
        ),
        1,
    ),
    "what is tested, one after the other",
)
"""The array of endpoints in the table of a test: each has its own options of the verb."""
