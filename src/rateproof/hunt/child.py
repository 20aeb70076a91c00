"""A server of our own to test: a child process, restarted when it dies."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import rateproof
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.simulate.target import Target

__all__ = ["ChildServer"]

_START_S = 20.0
_STOP_S = 5.0


class ChildServer:
    """`rateproof serve` as a child, in a process group of its own.

    The group matters: a server whose main process was killed leaves workers
    behind that still hold the port, and they must go before a new one can start.

    Args:
        target: where it is to listen.
        policy: what it is to enforce.
        key: where it is to read a client's identity.
        workers: how many processes it is to use.
    """

    def __init__(self, target: Target, policy: Policy, key: KeySpec, workers: int = 2) -> None:
        self._target = target
        self._command = [
            *(sys.executable, "-m", "rateproof", "serve"),
            *("--host", target.host, "--port", str(target.port)),
            *("--policy", str(policy), "--key", str(key), "--workers", str(workers)),
            "--with-parent",
        ]
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by stop()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections.

        Raises:
            InvalidArgument: it refused its settings, such as an algorithm that it does not enforce.
            Unreachable: it ended or did not listen within 20 s. Both with its last words.
        """
        path = os.pathsep.join(
            filter(
                None, [str(Path(rateproof.__file__).parent.parent), os.environ.get("PYTHONPATH")]
            )
        )
        self._process = subprocess.Popen(  # noqa: S603  our own program
            self._command,
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
        )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._target.answers(0.2):
                return
            time.sleep(0.02)
        refused = self._process.poll() == InvalidArgument.exit_code
        self.stop()
        words = self._last_words()
        if refused:
            raise InvalidArgument("the server that was to be started refuses these settings", words)
        raise Unreachable(
            f"the server that was started for {self._target.url} does not listen",
            words or "start it yourself: python server.py",
        )

    def died(self) -> str | None:
        """How it ended, if it did so by itself since it was started: else None."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return None
        return f"killed by signal {-code}" if code < 0 else f"exited with code {code}"

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
        self._process = None

    def _last_words(self) -> str:
        self._stderr.seek(0)
        return " / ".join(self._stderr.read().strip().splitlines()[-3:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._end_group(signal.SIGKILL)
        self.stop()
        self._stderr.close()
