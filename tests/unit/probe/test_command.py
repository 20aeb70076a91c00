"""The command line of a probe, and its ends."""

import pytest

from rateproof import cli
from rateproof.probe import probing


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--max-requests", "1"], "1"),
        (["--max-requests", "many"], "many"),
        (["--max-time", "0s"], "0s"),
        (["--key", "ip"], "ip"),
        (["ftp://127.0.0.1/"], "ftp://127.0.0.1/"),
        (["http://192.0.2.1/"], "--yes"),
    ],
)
def test_bad_arguments_exit_64_before_anything_is_sent(arguments, named, capsys, monkeypatch):
    monkeypatch.setattr(probing, "probe", lambda _: pytest.fail("it was sent"))
    monkeypatch.setattr("sys.stdin", None)
    assert cli.main(["probe", *arguments]) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert named in captured.err


def test_an_interrupted_probe_exits_130(capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(probing, "probe", interrupted)
    assert cli.main(["probe", "http://127.0.0.1:1/"]) == 130
    assert capsys.readouterr().out == ""
