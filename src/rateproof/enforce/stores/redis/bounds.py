"""The longest that one call waits for a server, whatever it waits for and however often."""

import os
import ssl
import threading
import time
from contextlib import suppress
from math import inf
from typing import Any


class _Call(threading.local):
    """The call that a thread makes: it is over at `until_s` of the monotonic clock.

    One wait takes no more than a `share` of what is left by then.
    """

    until_s = inf
    share = 1.0


_call = _Call()


class OneCall:
    """Lets this thread wait for so long in all, and each time for a share of what is left."""

    __slots__ = ("_share", "_timeout_s")

    def __init__(self, timeout_s: float, share: float = 1.0) -> None:
        self._timeout_s, self._share = timeout_s, share

    def __enter__(self) -> None:
        _call.until_s, _call.share = time.monotonic() + self._timeout_s, self._share

    def __exit__(self, *_: object) -> None:
        _call.until_s = inf


def bounded(connection: Any) -> Any:
    """A class of connections like this one of redis-py, whose waits end with the call."""

    class Bounded(connection):
        """Connects to one address after the other, and reads one piece after the other, in time."""

        @property
        def socket_connect_timeout(self) -> float | None:
            """Time left of the call."""
            return _left_s(self.__dict__.get("_socket_connect_timeout"))

        @socket_connect_timeout.setter
        def socket_connect_timeout(self, timeout: float | None) -> None:
            self.__dict__["_socket_connect_timeout"] = timeout

        def _connect(self) -> "_Socket":
            return _Socket(super()._connect())

    return Bounded


class _Socket:
    """A socket whose timeout is what is left of the call, where that is less.

    Telling a socket its timeout is a system call, so one that is less than 1 % too long stays.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._encrypts = isinstance(sock, ssl.SSLSocket)
        self._timeout = self._told = sock.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def recv(self, *args: Any) -> bytes:
        received: bytes = self._in_time().recv(*args)
        return received

    def recv_into(self, *args: Any) -> int:
        count: int = self._in_time().recv_into(*args)
        return count

    def sendall(self, data: bytes) -> None:
        sock = self._in_time()
        # Python asks first if there is room, which mostly there is: a system call less.
        with suppress(BlockingIOError):
            data = data if self._encrypts else data[os.write(sock.fileno(), data) :]
        if data:
            sock.sendall(data)

    def _in_time(self) -> Any:
        left_s, told_s = _left_s(self._timeout), self._told
        if not (left_s and told_s and left_s <= told_s <= left_s * 1.01):
            self._sock.settimeout(left_s)
            self._told = left_s
        return self._sock


def _left_s(timeout: float | None) -> float | None:
    if timeout == 0 or _call.until_s == inf:
        return timeout
    left_s = (_call.until_s - time.monotonic()) * _call.share
    if left_s <= 0:
        raise TimeoutError("timed out")
    return min(left_s, timeout or left_s)
