"""Reports of a test, for people and for programs.

`test_summary.txt` is the plain text of everything; `test_report.html` shows it on a
page; JUnit XML and the summary of a GitHub job tell continuous integration.
"""
