"""Scripts of servers, and the clients that ask them: so many requests each, and nothing else."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rateproof.simulate.programs.arrivals import Fixed
from rateproof.simulate.programs.program import Program
from rateproof.simulate.programs.steps import RESUME, ask, compiled, repeat, wait

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[socket.socket, bytes], object]
"""Answers one request; anything but None ends the connection."""


@dataclass(frozen=True)
class Times:
    """So many requests, each `pause_ns` after the end of the last answer, its header dripped over `over_ns`."""

    name: ClassVar[str] = "times"

    count: int
    pause_ns: int = 0
    over_ns: int = 0

    def program(self) -> Program:
        pause = wait(Fixed(self.pause_ns)) if self.pause_ns else ()
        return compiled(repeat(self.count, ask(self.over_ns), RESUME, pause))


def answering(data: bytes) -> Script:
    return lambda connection, _head: connection.sendall(data)


def closing(*pieces: bytes) -> Script:
    def script(connection: socket.socket, _head: bytes) -> bool:
        for piece in pieces:
            connection.sendall(piece)
        return True

    return script
