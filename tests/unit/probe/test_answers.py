"""The answers that no limiter gave, in words."""

from types import SimpleNamespace

import pytest

from rateproof.probe.page import _answers


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        ({None: 1}, "1 request got no answer"),
        ({None: 2}, "2 requests got no answer"),
        ({302: 1}, "1 redirect to /login (302)"),
        ({401: 250}, "250 answers said that this needs credentials (401)"),
        ({500: 1}, "1 error of the server (500)"),
    ],
)
def test_each_kind_is_counted(statuses, line):
    found = SimpleNamespace(
        statuses=statuses,
        rejected_statuses=frozenset({429, 503}),
        hello=SimpleNamespace(location="/login"),
    )
    assert list(_answers(found)) == [line]
