"""Starting a server to test: the wait can be stopped, and hints lead somewhere."""

import shlex
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from rateproof import hunt
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.hunt.server import child
from rateproof.hunt.server.child import ChildServer, server_for
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.simulate.target import Target


def told(target, nemesis, *, may_start=True):
    """The settings of a test that may start a server of our own, as far as that looks at them."""
    return SimpleNamespace(
        target=target,
        policy=Policy.parse("5 per 5s"),
        key=KeySpec.parse("query:clientId"),
        start=None,
        own=False,
        may_start=may_start,
        nemesis=nemesis,
    )


@pytest.fixture
def target(free_port):
    return Target.parse(f"http://127.0.0.1:{free_port}/x")


def test_a_stop_ends_the_wait_for_a_server_that_does_not_listen(target):
    stop = threading.Event()
    child = ChildServer.of(target, f"{sys.executable} -c 'import time; time.sleep(60)'")
    threading.Timer(0.2, stop.set).start()
    began_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        child.start(stop)
    assert time.monotonic() - began_s < 15
    assert not child.running


@pytest.mark.parametrize(
    ("words", "started"),
    [
        ({}, True),
        ({"may_start": False}, False),
        ({"url": "http://127.0.0.1:8080"}, False),
        ({"url": "http://127.0.0.1:8080", "own": True}, True),
    ],
)
def test_where_nothing_listens_only_what_was_not_named_is_started(monkeypatch, words, started):
    monkeypatch.setattr(Target, "answers", lambda *_: False)
    settings = hunt.TestSettings.told(**words)
    if started:
        assert "rateproof serve" in str(server_for(settings))
    else:
        with pytest.raises(Unreachable, match="nothing listens"):
            server_for(settings)


def test_our_own_server_is_never_started_where_another_listens(monkeypatch):
    monkeypatch.setattr(Target, "answers", lambda *_: True)
    assert server_for(hunt.TestSettings.told()) is None
    with pytest.raises(Unreachable, match="something listens"):
        server_for(hunt.TestSettings.told(own=True))
    with pytest.raises(InvalidArgument, match="--self with --start"):
        server_for(hunt.TestSettings.told(own=True, start="true"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x", "http://192.0.2.1", "https://127.0.0.1"]
)
def test_our_own_server_is_on_this_machine_at_its_root(url):
    with pytest.raises(InvalidArgument, match="started here"):
        server_for(hunt.TestSettings.told(url=url, own=True))


@pytest.mark.parametrize(
    ("nemesis", "hint"), [(["kill"], "--start 'gunicorn"), ([], "start the server first")]
)
def test_where_nothing_listens_the_hint_is_one_that_is_accepted(target, nemesis, hint):
    with pytest.raises(Unreachable) as refused:
        server_for(told(target, nemesis, may_start=False))
    assert hint in refused.value.hint


def test_without_the_native_core_our_own_server_is_not_killed(monkeypatch, free_port):
    """Its counts are gone with it: that would be told as a limiter that leaks."""
    monkeypatch.setenv("RATEPROOF_CORE", "python")
    here = Target.parse(f"http://127.0.0.1:{free_port}")
    for deeds in (["kill"], ["pause", "restart"]):
        with pytest.raises(InvalidArgument, match="native core") as refused:
            server_for(told(here, deeds))
        assert "Rust" in refused.value.hint
    child = server_for(told(here, ["pause"]))
    assert "--workers 1" in str(child)


@pytest.mark.parametrize(
    ("program", "message", "hint"),
    [
        (
            "pass",
            "listen: it exited with code 0",
            "it must stay in the foreground and listen on port",
        ),
        ("raise SystemExit('no such app')", "listen: it exited with code 1", "no such app"),
        ("import time; time.sleep(60)", "does not listen", "use {port} in the command"),
    ],
)
def test_a_server_that_does_not_listen_is_told_with_what_it_must_do(
    target, monkeypatch, program, message, hint
):
    monkeypatch.setattr(child, "_START_S", 1.0 if "sleep" in program else 20.0)
    with pytest.raises(Unreachable) as refused:
        ChildServer.of(target, shlex.join([sys.executable, "-c", program])).start()
    assert refused.value.message.endswith(message)
    assert hint in refused.value.hint


def test_the_last_words_have_the_error_that_more_lines_came_after(target):
    program = "import sys; print('KeyError: 1', *'abcd', sep='\\n', file=sys.stderr)"
    with pytest.raises(Unreachable) as refused:
        ChildServer.of(target, shlex.join([sys.executable, "-c", program])).start()
    assert refused.value.hint == "KeyError: 1 / b / c / d"


def test_the_last_words_are_those_of_the_last_start(target):
    program = "import sys; sys.exit('KeyError: 1')"
    child = ChildServer.of(target, shlex.join([sys.executable, "-c", program]))
    for _ in range(3):
        with pytest.raises(Unreachable) as refused:
            child.start()
        assert refused.value.hint == "KeyError: 1"
