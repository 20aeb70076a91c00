"""Reports of a test, for people and for programs.

`test_summary.txt` is the plain text of everything; `test_report.html` shows it on a
page; JUnit XML and the summary of a GitHub job tell continuous integration.
"""

from rateproof.hunt.report.github import GitHubReport, on_github, tell_github
from rateproof.hunt.report.junit import JUnitReport, write_junit
from rateproof.hunt.report.page import HtmlReport, require_jinja, write_page
from rateproof.hunt.report.reporter import Reporter
from rateproof.hunt.report.subject import Subject
from rateproof.hunt.report.totals import Totals

__all__ = [
    "GitHubReport",
    "HtmlReport",
    "JUnitReport",
    "Reporter",
    "Subject",
    "Totals",
    "on_github",
    "require_jinja",
    "tell_github",
    "write_junit",
    "write_page",
]
