"""Reports of a test, for people and for programs.

`test_summary.txt` is the plain text of everything; `test_report.html` shows it on a
page; JUnit XML tells continuous integration.
"""

from rateproof.hunt.report.junit import JUnitReport, write_junit
from rateproof.hunt.report.page import HtmlReport, require_jinja, write_page
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals

__all__ = [
    "HtmlReport",
    "JUnitReport",
    "Reporter",
    "Subject",
    "Totals",
    "require_jinja",
    "write_junit",
    "write_page",
]
