"""Logs of other load testers, read as event logs.

Each importer says in its docstring how it derives the interval that holds the
server's decision, and on which clock. What they have in common: an interval is
never narrower than what the tool noted allows, so that judging an imported log may
be inconclusive where a log of ours would not be, and finds no over-admission that
was none. Requests that the tool sent and did not log can make a rejection look wrong.
"""

from rateproof.events.importers.k6 import read_k6
from rateproof.events.importers.recognise import K6, OURS, VEGETA_CSV, VEGETA_JSON, recognise
from rateproof.events.importers.requests import DEFAULT_KEY
from rateproof.events.importers.vegeta import read_vegeta_csv, read_vegeta_json

__all__ = [
    "DEFAULT_KEY",
    "K6",
    "OURS",
    "VEGETA_CSV",
    "VEGETA_JSON",
    "read_k6",
    "read_vegeta_csv",
    "read_vegeta_json",
    "recognise",
]
