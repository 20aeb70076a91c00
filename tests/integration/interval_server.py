"""A server that says when it decided, on the clock of the clients of its machine.

    python interval_server.py MODE [CERTIFICATE]

A request is read to the end of its header section and its body, then decided
upon (in mode `early` once its first bytes are there), then answered: the instant stands in the answer, as `r` of a RateLimit
field, in ns of CLOCK_MONOTONIC modulo 10**15 (RFC 9651 bounds it to 15 digits).
With a certificate and its key in a PEM file it speaks TLS. It says its port on
stdout and ends with its stdin.
"""

import asyncio
import re
import ssl
import sys
import time
from collections.abc import Awaitable, Callable

LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
ANSWER = b'HTTP/1.1 200 OK\r\nRateLimit: "t";r=%d;t=0\r\nContent-Length: 2\r\n\r\nok'
ENDING = ANSWER.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
CHUNKED = (
    b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n"
    b'RateLimit: "t";r=%d;t=0\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: t\r\n\r\n'
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"

Write = Callable[[bytes], None]
Script = Callable[[Write], Awaitable[None]]


def decided(answer: bytes = ANSWER) -> bytes:
    return answer % (time.monotonic_ns() % 10**15)


async def slow(write: Write) -> None:
    """Time passes on both sides of the decision."""
    await asyncio.sleep(0.002)
    answer = decided()
    await asyncio.sleep(0.002)
    write(answer)


async def split(write: Write) -> None:
    """Each byte of the status line by itself, then the header, then the body."""
    answer = decided()
    line, rest = answer.split(b"\r\n", 1)
    for byte in line + b"\r\n":
        write(bytes([byte]))
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)
    for piece in (rest[:-2], rest[-2:-1], rest[-1:]):
        write(piece)
        await asyncio.sleep(0.001)


async def pieces(write: Write) -> None:
    """A rejection in chunks, byte after byte."""
    for byte in decided(CHUNKED):
        write(bytes([byte]))
        await asyncio.sleep(0)


async def hesitant(write: Write) -> None:
    """The beginning of every answer, then the decision, then its status."""
    write(ANSWER[:9])
    await asyncio.sleep(0.003)
    for byte in decided()[9:]:
        write(bytes([byte]))
        await asyncio.sleep(0)


async def interim(write: Write) -> None:
    """Interim answers tell of no decision: it is taken long after they were read."""
    write(INTERIM)
    await asyncio.sleep(0.003)
    write(decided())


async def interim_split(write: Write) -> None:
    """The same byte after byte, the first of the final status line with the last of the interim."""
    for byte in INTERIM[:-1]:
        write(bytes([byte]))
        await asyncio.sleep(0)
    answer = decided()
    write(INTERIM[-1:] + answer[:1])
    await asyncio.sleep(0.001)
    write(answer[1:])


SCRIPTS: dict[str, Script] = {
    each.__name__: each for each in (slow, split, pieces, hesitant, interim, interim_split)
}
MODES = ("at_once", "early", *SCRIPTS)


class Early(asyncio.Protocol):
    """Decides before it knows what is asked, and reads no more than that."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        if not self.read:
            self.transport.write(decided(ENDING))
        self.read += data
        if b"\r\n\r\n" in self.read:
            self.transport.close()


class Connection(asyncio.Protocol):
    """Answers at once, or by a script."""

    def __init__(self, script: Script | None) -> None:
        self.script = script
        self.unread = b""
        self.answer: bytes | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n")) >= 0:
            self.answer = self.answer or decided()
            head = self.unread[: end + 2]
            found = LENGTH.search(head) if b"ontent-" in head else None
            end += 4 + (int(found[1]) if found else 0)
            if len(self.unread) < end:
                return
            self.unread = self.unread[end:]
            if self.script is None:
                self.write(self.answer)
            else:
                task = asyncio.ensure_future(self.script(self.write))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            self.answer = None


async def serve(mode: str, certificate: str | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        Early if mode == "early" else lambda: Connection(SCRIPTS.get(mode)),
        *("127.0.0.1", 0),
        ssl=context,
        backlog=1_024,
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - what the test reads
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
