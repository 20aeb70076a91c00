"""Start a limiter's processes and end them, whatever happens in between."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from league.row import Place, Row

__all__ = ["DidNotStart", "end_group", "running"]

_START_S = 20.0
_STOP_S = 5.0


class DidNotStart(Exception):
    """A limiter ended or did not listen in time; its last words say why."""


@contextmanager
def running(row: Row) -> Iterator[str]:
    """Run a row's processes while the body runs, from when the last one accepts connections.

    Yields:
        The URL of the limited page.

    Raises:
        DidNotStart: it does not accept connections within 20 s.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="league-")))
        place = Place(_free_port(), _free_port(), folder)
        output = stack.enter_context((folder / "output").open("w+"))
        processes = []
        for command in row.commands(place):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,
            )
            stack.callback(end_group, process, signal.SIGTERM)
            processes.append(process)
        deadline = time.monotonic() + _START_S
        while not _accepts(place.port):
            ended = any(process.poll() is not None for process in processes)
            if ended or time.monotonic() > deadline:
                output.seek(0)
                raise DidNotStart(" / ".join(output.read().split("\n")[-4:]).strip(" /"))
            time.sleep(0.05)
        yield f"http://127.0.0.1:{place.port}/"


def end_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """End a process and all that it started: by `number`, and after 5 s by force."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
