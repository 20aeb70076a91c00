"""The beginning of every report."""

import pytest

from rateproof.hunt.report.junit import Case, Suite, junit_xml
from rateproof.hunt.report.subject import Subject


def test_the_command_is_as_it_was_typed_but_for_its_secrets(monkeypatch):
    words = ["test", "--header", "X-Token: s3cret", "--header=Accept: text/*"]
    monkeypatch.setattr("sys.argv", ["/opt/bin/rateproof", *words])
    subject = Subject(verb="test", target="http://127.0.0.1:1/", policy="5 per 5s")
    shown = "/opt/bin/rateproof test --header 'X-Token: [not shown]' '--header=Accept: text/*'"
    assert subject.command == shown
    assert f"command {shown}" in str(subject)
    assert "s3cret" not in junit_xml(Suite(subject, [Case("over-admission")], 1.0))


@pytest.mark.parametrize("module", ["rateproof", "pytest"])
def test_a_module_that_was_run_is_named_as_such(monkeypatch, module):
    """Under `python -m pytest` too, where the fixture runs in a process that is not ours."""
    monkeypatch.setattr("sys.argv", [f"/opt/lib/{module}/__main__.py", "-q"])
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", module, "-q"])
    subject = Subject(verb="test", target="http://127.0.0.1:1/", policy="5 per 5s")
    assert subject.command == f"python -m {module} -q"
