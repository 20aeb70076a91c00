"""Which server is tested: one that listens already, one of a given command, or one of our own."""

from collections.abc import Collection

from rateproof.core import INSTALL, active_core
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.hunt.server.child import ChildServer
from rateproof.hunt.server.workers import visible
from rateproof.keyspec import KeySpec
from rateproof.output import say
from rateproof.policy import Policy
from rateproof.simulate.target import Target

__all__ = ["may_be_ours", "server_for"]

_START = "--start 'gunicorn app:app --bind {host}:{port}'"


def server_for(
    target: Target,
    policy: Policy,
    key: KeySpec,
    *,
    command: str | None,
    may_start: bool,
    nemesis: Collection[str],
) -> ChildServer | None:
    """The server to start for a test; None to test the one that listens at the target.

    Args:
        target: where it is to be tested.
        policy: what a server of our own is to enforce.
        key: where that is to read identities.
        command: starts the server to test; None: one of our own where nothing listens.
        may_start: whether one of our own may be started.
        nemesis: what is to be done to it, if anything, so that it must be started here.

    Raises:
        InvalidArgument: a command that cannot be one, or for another machine; a nemesis
            for a server that was not started here, or on a system that hides its processes;
            one of our own that is to be killed, without the native core.
        Unreachable: something listens where the command is to, or nothing where no
            server can be started.
    """
    if nemesis and not visible():
        raise InvalidArgument("a nemesis", "only Linux shows which processes are a server's")
    if command is not None:
        return _named(target, command)
    if target.answers():
        if nemesis:
            raise InvalidArgument(
                f"a nemesis for {target.url}, where a server listens that was not started here",
                f"stop it and name its command: {_START}",
            )
        return None
    if not (may_start and may_be_ours(target)):
        hint = f"name its command: {_START}" if nemesis else "start the server first"
        raise Unreachable(f"nothing listens at {target.url}", hint)
    if active_core() == "python" and {"kill", "restart"}.intersection(nemesis):
        raise InvalidArgument(
            "a nemesis that kills our own server, which forgets its counts without the native core",
            f"{INSTALL}; or --nemesis pause",
        )
    say(f"nothing listens at {target.url}: starting a server there")
    return ChildServer.ours(target, policy, key)


def may_be_ours(target: Target) -> bool:
    """Whether a server of our own could be started there: plain HTTP on this machine, at `/`."""
    return target.is_loopback and target.scheme == "http" and target.path == "/"


def _named(target: Target, command: str) -> ChildServer:
    if not target.is_loopback:
        raise InvalidArgument(
            f"a command to serve {target.url}", "what is started here is tested on the loopback"
        )
    child = ChildServer.of(target, command)
    if target.answers():
        raise Unreachable(
            f"something listens at {target.url} already", "stop it, or leave out --start"
        )
    say(f"starting {child}")
    return child
