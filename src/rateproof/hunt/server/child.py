"""The server that is tested, where it is started here: a child process, started again when it dies."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import rateproof
from rateproof import linux
from rateproof.core import INSTALL, active_core
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.hunt.server.workers import WorkerProcess, Workers
from rateproof.hunt.settings import TestSettings
from rateproof.keyspec import KeySpec
from rateproof.output import printable, say
from rateproof.policy import Policy
from rateproof.simulate.target import Target

_START_S = 20.0
_STOP_S = 5.0
_LOOK_S = 0.05
_LAST_WORDS = 3
_ERROR = re.compile(r"[\w.]*(Error|Exception|Exit)\b")  # at the end of a traceback

_NAMED = "--start 'gunicorn app:app --bind {host}:{port}'"
_COMMAND = "a program and its arguments, such as 'gunicorn app:app --bind {host}:{port}'"


class ChildServer:
    """A program that serves, as a child in a process group of its own.

    The group matters: a server whose main process was killed leaves workers
    behind that still hold the port, and they must go before a new one can start.

    Args:
        target: where it is to listen.
        command: the program and its arguments; no shell reads them.
        environment: variables beside those of this process.
    """

    def __init__(
        self, target: Target, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._target = target
        self._command = list(command)
        self._environment = os.environ | (environment or {})
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by __exit__
        self._process: subprocess.Popen[bytes] | None = None
        self._workers = Workers(target.port)

    @classmethod
    def ours(cls, target: Target, policy: Policy, key: KeySpec, workers: int = 2) -> Self:
        """`rateproof serve`, with one worker where there is no native core to share counts."""
        workers = 1 if active_core() == "python" else workers
        command = [
            *(sys.executable, "-m", "rateproof", "serve"),
            *("--host", target.host, "--port", str(target.port)),
            *("--policy", str(policy), "--key", str(key), "--workers", str(workers)),
            *("--with-parent", "--config", os.devnull),
        ]
        ours = str(Path(rateproof.__file__).parent.parent)
        paths = filter(None, [ours, os.environ.get("PYTHONPATH")])
        return cls(target, command, {"PYTHONPATH": os.pathsep.join(paths)})

    @classmethod
    def of(cls, target: Target, command: str) -> Self:
        """Any program that serves HTTP in the foreground.

        Args:
            target: where it will listen.
            command: the program and its arguments, quoted as for a shell, which
                does not see them. `{host}` and `{port}` stand for the target's.

        Raises:
            InvalidArgument: empty, or a quote that is not closed.
        """
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise InvalidArgument(f"command {command!r}: {error}", _COMMAND) from None
        if not words:
            raise InvalidArgument(f"command {command!r} is empty", _COMMAND)
        places = (("{host}", target.host), ("{port}", str(target.port)))
        for place, value in places:
            words = [word.replace(place, value) for word in words]
        return cls(target, words)

    def start(self, stop: threading.Event | None = None) -> None:
        """Start it and wait until it accepts connections.

        Raises:
            KeyboardInterrupt: it was stopped before it accepted any.
            InvalidArgument: there is no such program, or it refused its settings,
                such as an algorithm that it does not enforce.
            Unreachable: it ended or did not listen within 20 s. With its last words.
        """
        self._stderr.seek(0)  # which is where the server writes, too
        self._stderr.truncate()
        try:
            self._process = subprocess.Popen(  # noqa: S603  what the user named
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            what = f"cannot start {self._command[0]!r}: {error.strerror}"
            raise InvalidArgument(what, _COMMAND) from None
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._target.answers(0.2):
                return
            if stop is not None and stop.is_set():
                self._end_group(signal.SIGKILL)
                raise KeyboardInterrupt
            time.sleep(0.02)
        code = self._process.poll()
        refused = code == InvalidArgument.exit_code
        self.stop()
        words = self.last_words()
        if refused:
            raise InvalidArgument("the server that was to be started refuses these settings", words)
        port = self._target.port
        if code is None:
            words = words and f"; its last words: {words}"
            hint = f"it must listen on port {port}: use {{port}} in the command{words}"
        else:
            hint = (
                words
                or f"its command was {self}; it must stay in the foreground and listen on port {port}"
            )
        ended = "" if code is None else f": it {_ending(code)}"
        raise Unreachable(
            f"the server that was started for {self._target.url} does not listen{ended}", hint
        )

    def died(self) -> str | None:
        """Say how it ended, if it did so by itself since it was started; else None."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return None
        return _ending(code)

    @property
    def running(self) -> bool:
        """True if it was started and not ended; it may have died by itself since."""
        return self._process is not None

    def answers(self) -> bool:
        """Tell if it accepts connections within 50 ms."""
        return self._target.answers(_LOOK_S)

    def workers(self) -> list[WorkerProcess]:
        """The processes that serve, the longest known first; none where the system hides them."""
        if self._process is None or not linux.shows_processes():
            return []
        return self._workers.look(self._process.pid)

    def departed(self) -> list[WorkerProcess]:
        """Workers that ended since it was last asked, the whole server excepted."""
        return self._workers.departed()

    def restart(self) -> None:
        """End what is left of it and start it again.

        Raises:
            Unreachable: as `start`.
        """
        self._end_group(signal.SIGKILL)
        self.start()

    def stop(self) -> None:
        """End it: politely, and after 5 s by force. Harmless when it is not running."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        self._end_group(signal.SIGKILL)

    def _end_group(self, number: int) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait()
        self._workers.forget()
        self._process = None
        # The workers end a moment later, and what starts next must not be taken for them.
        deadline = time.monotonic() + _STOP_S
        while self.answers() and time.monotonic() < deadline:
            time.sleep(0.01)

    def last_words(self) -> str:
        """The last lines that it wrote to stderr; and before them the last that names an error."""
        self._stderr.seek(0)
        lines = self._stderr.read().strip().splitlines()
        last, before = lines[-_LAST_WORDS:], lines[:-_LAST_WORDS]
        errors = [] if any(map(_ERROR.match, last)) else list(filter(_ERROR.match, before))[-1:]
        return printable(" / ".join([*errors, *last]))

    def __str__(self) -> str:
        return shlex.join(self._command)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._end_group(signal.SIGKILL)
        self.stop()
        self._stderr.close()


def _ending(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exited with code {code}"


def server_for(settings: TestSettings) -> ChildServer | None:
    """The server to start for a test; None to test the one that listens at the target.

    Raises:
        InvalidArgument: a command that cannot be one, for another machine or beside our own;
            a nemesis for a server that was not started here, or on a system that hides its processes;
            one of our own that is to be killed, without the native core, or elsewhere than
            at `/` of this machine.
        Unreachable: something listens where a server is to be started, or nothing where
            none is.
    """
    target, nemesis = settings.target, settings.nemesis
    if settings.own and settings.start:
        raise InvalidArgument("--self with --start", "one of them: whose server is it?")
    if nemesis and not linux.shows_processes():
        raise InvalidArgument("a nemesis", "only Linux shows which processes are a server's")
    elsewhere = target.scheme != "http" or target.path != "/"
    if (settings.own and elsewhere) or (
        (settings.own or settings.start) and not target.is_loopback
    ):
        raise InvalidArgument(
            f"{target.url} for a server that is started here",
            "http:// and a port of this machine, such as http://127.0.0.1:8080",
        )
    child = None if settings.start is None else ChildServer.of(target, settings.start)
    listens = target.answers()
    if listens and (child or settings.own):
        flag = "--start" if child else "--self"
        raise Unreachable(
            f"something listens at {target.url} already", f"stop it, or leave out {flag}"
        )
    if child:
        say(f"starting {child}")
        return child
    if listens and nemesis:
        raise InvalidArgument(
            f"a nemesis for {target.url}, where a server listens that was not started here",
            f"stop it and name its command: {_NAMED}",
        )
    if not (listens or settings.own or settings.may_start):
        hint = f"name its command: {_NAMED}" if nemesis else "start the server first, or --self"
        raise Unreachable(f"nothing listens at {target.url}", hint)
    if listens:
        return None
    if active_core() == "python" and {"kill", "restart"}.intersection(nemesis):
        raise InvalidArgument(
            "a nemesis that kills our own server, which forgets its counts without the native core",
            f"{INSTALL}; or --nemesis pause",
        )
    say(f"nothing listens at {target.url}: a server of our own is started and tested there")
    return ChildServer.ours(target, settings.policy, settings.key)
