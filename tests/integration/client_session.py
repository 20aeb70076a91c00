"""Sessions of the interactive client: in a terminal of their own, or behind a shell."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import textwrap
import time
from pathlib import Path

DRIVER = textwrap.dedent(
    """
    import sys
    from rateproof.errors import RateproofError
    from rateproof.keyspec import KeySpec
    from rateproof.simulate.client.live import ClientSettings, run_client
    try:
        sys.exit(run_client(eval("ClientSettings.told(" + sys.argv[1] + ")")))
    except RateproofError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    """
)

# A server that is alone in its process, so that 500 clients do not share its interpreter.
SERVER = textwrap.dedent(
    """
    import asyncio, sys
    delay = float(sys.argv[1])
    async def serve(reader, writer):
        try:
            while True:
                await reader.readuntil(b"\\r\\n\\r\\n")
                await asyncio.sleep(delay)
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()
    asyncio.run(main())
    """
)

_OWN = {"COLUMNS", "LINES", "NO_COLOR"}


class Terminal:
    """A program whose stdin and stderr are a terminal; its stdout is a pipe, or the same one."""

    def __init__(
        self,
        settings: str,
        *,
        columns: int = 80,
        prefix: tuple[str, ...] = (),
        whole: bool = False,
        before: str = "",
    ) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, columns))
        self.modes = termios.tcgetattr(self.slave)
        self.screen = self.passed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", before + DRIVER, settings],
            stdin=self.slave,
            stderr=self.slave,
            stdout=self.slave if whole else subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Ctrl-C is a byte only to a process whose controlling terminal this is.
            preexec_fn=_take_terminal,  # noqa: PLW1509 - only makes system calls
            env={key: value for key, value in os.environ.items() if key not in _OWN}
            | {"TERM": "xterm-256color"},
        )

    def expect(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Read the screen until it shows the pattern beyond what was expected before."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.screen)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} not in {self.screen!r}"
            self.read(left)
        self.passed, self.screen = self.screen[: match.start()], self.screen[match.end() :]
        return match

    def read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.screen += self._decoder.decode(os.read(self.master, 65_536))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def answer(self, text: str, seconds: float = 60) -> None:
        """Type once the program reads it: a Ctrl-C just before that would not end the reading."""
        deadline = time.monotonic() + seconds
        call = Path(f"/proc/{self.process.pid}/syscall")
        while call.read_text().split()[1:2] != ["0x0"]:  # the first argument: standard input
            assert time.monotonic() < deadline, "nothing is read"
            time.sleep(0.01)
        self.type(text)

    def end(self, seconds: float = 60) -> tuple[int, str]:
        """Wait for the end; the exit code and everything on stdout."""
        out, _ = self.process.communicate(timeout=seconds)
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        return self.process.returncode, out

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        os.close(self.master)
        os.close(self.slave)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Whoever runs the tests in the background of a shell ignores Ctrl-C, and so would we.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def shell(settings: str, redirection: str, before: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f'{before} exec "$0" "$@" {redirection}',
            sys.executable,
            "-c",
            DRIVER,
            settings,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr
