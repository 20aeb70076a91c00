"""Work done by other processes, on this machine or on many: the one place that knows Dask."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final

from rateproof import __version__, linux
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.folders import scratch

HERE: Final = "dask"
"""The name of a cluster that is started on this machine, and goes at the end."""

_ANSWER_S: Final = 10
_CONNECT_S: Final = 60
"""Seconds for the client to be ready, of a scheduler that has answered."""

_WITHOUT_WORKER_S: Final = 30
_SETTINGS: Final = {
    "distributed.deploy.lost-worker-timeout": "1h",  # of Dask's 15 s one that starts again may need more
    "distributed.nanny.pre-spawn-environ": {},  # Dask's makes workers return memory all the time
    "distributed.worker.profile.enabled": False,
}
_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Lost:
    """In place of a result: the one worker that had to do the work is gone."""

    worker: str


class Cluster:
    """A Dask cluster that has work of this process done.

    Args:
        client: Dask's client of it, for what is not here.
        name: of the cluster, for messages.
        folder: one of this machine, which goes with a cluster that was started here; None: it
            was not.
        without_worker_s: seconds without any worker after which it is given up.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        folder: Path | None = None,
        *,
        without_worker_s: float = _WITHOUT_WORKER_S,
    ) -> None:
        self.client, self.folder = client, folder
        self._name, self._without_worker_s = name, without_worker_s
        self._placed: dict[str, str] = {}

    def workers(self) -> dict[str, int]:
        """The address of each worker, and how many tasks it does at once.

        Raises:
            Unreachable: the scheduler is gone, or has no worker.
        """
        found = self.there()
        if not found:
            raise self._no_worker()
        return found

    def there(self) -> dict[str, int]:
        """The same, where it may be that there is none.

        Raises:
            Unreachable: the scheduler is gone.
        """
        try:
            # Its scheduler_info() is without workers for a moment every two seconds.
            found = self.client.nthreads()
        except OSError as error:
            raise self._gone() from error
        return dict(sorted(found.items()))

    def asked(self, work: Callable[..., Any], *given: Any) -> dict[str, Any]:
        """The results of a function on all workers at once, or what it raised, by their addresses.

        A worker that goes meanwhile has none.

        Raises:
            Unreachable: the scheduler is gone.
        """
        try:
            found = self.client.run(work, *given, on_error="return")
        except OSError as error:
            raise self._gone() from error
        return {at: told for at, told in found.items() if not isinstance(told, OSError)}

    def submit(self, work: Callable[..., Any], *given: Any, worker: str | None = None) -> Any:
        """Have a worker call a function, which has to be one that can be imported there.

        Where a worker is killed, another one does its work from the beginning.

        Args:
            work: the function.
            given: its arguments.
            worker: the address of the only one that may do it; None: any.

        Returns:
            A future for `results`.

        Raises:
            Unreachable: the scheduler is gone.
        """
        to = {} if worker is None else {"workers": [worker]}
        with self._heard():
            future = self.client.submit(_do, __version__, work, *given, pure=False, **to)
        if worker is not None:
            self._placed[future.key] = worker
        return future

    def results(self, futures: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """The results of work, each with its place among the futures, as they come.

        One is `Lost` where its only worker is gone. What is not finished when this ends, by an
        error or by the caller, is cancelled.

        Raises:
            InvalidArgument: a worker has another version of rateproof.
            Unreachable: the scheduler is gone, no worker is left, or one task ended several.
            Exception: whatever a task raised.
        """
        from distributed import wait

        left = {future: number for number, future in enumerate(futures)}
        seen_s = time.monotonic()
        try:
            while left:
                with self._heard(), self.client.as_current(), suppress(TimeoutError):
                    wait([*left], timeout=_LOOK_S, return_when="FIRST_COMPLETED")
                done = [future for future in left if future.done()]
                came = False
                for future in done:
                    for result in self._result(future):
                        came = True
                        yield left.pop(future), result
                there = {} if came else self.there()
                if came or there:
                    seen_s = time.monotonic()
                elif time.monotonic() - seen_s > self._without_worker_s:
                    raise self._no_worker()
                for future in [] if came else [*left]:
                    worker = self._placed.get(future.key)
                    if worker is not None and worker not in there and not future.done():
                        self._cancel([future])
                        yield left.pop(future), Lost(worker)
        finally:
            self._cancel([*left])

    def _result(self, future: Any) -> list[Any]:
        """The result of work that was done; none where it went with its worker since, or takes long."""
        try:
            with self._heard():
                return [future.result(timeout=_ANSWER_S)]
        except TimeoutError:
            if future.status == "error":
                raise
            return []

    def _cancel(self, futures: list[Any]) -> None:
        if futures and self.client.status == "running":
            with suppress(OSError):  # a scheduler that is gone does none of it
                self.client.cancel(futures, force=True)

    def _no_worker(self) -> Unreachable:
        return Unreachable(
            f"{self._name} has no worker", f"start some: `dask worker {self._name}` on each machine"
        )

    def _gone(self) -> Unreachable:
        return Unreachable(
            f"the Dask scheduler at {self._name} is gone", "start it, and this again"
        )

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Say in our words what Dask says in its own."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.core import CommClosedError

        try:
            yield
        except KilledWorker as error:
            raise Unreachable(
                f"{self._name}: one task ended {error.allowed_failures + 1} workers, the last at "
                f"{error.last_worker.address}",
                "a worker that takes more memory than it may is killed: give them more, or less --memory",
            ) from error
        except (CancelledError, FutureCancelledError, CommClosedError) as error:
            raise self._gone() from error


@contextmanager
def connected(on: str, workers: int | None = None) -> Iterator[Cluster]:
    """The cluster that `--on` names.

    Args:
        on: `dask`, which starts one on this machine that goes at the end, or a scheduler's address.
        workers: processes of one that is started here; None: one a processor.

    Raises:
        InvalidArgument: Dask is not installed, or a worker has another version of rateproof, or
            none; the message names it.
        Unreachable: no scheduler answers there within seconds, or it has no worker.
    """
    try:
        import distributed
        from distributed.utils import silence_logging_cmgr
    except ImportError as error:
        raise InvalidArgument(
            f"--on {on} needs Dask, which is not installed", "pip install 'rateproof[dask]'"
        ) from error
    with ExitStack() as stack:
        asked: Any = on
        folder = None
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
        if on == HERE:
            folder, asked = stack.enter_context(_started(workers or linux.processors()))
        else:
            _ask(on)
        client = stack.enter_context(
            distributed.Client(asked, timeout=_CONNECT_S, set_as_default=False)
        )
        cluster = Cluster(client, client.scheduler.address, folder)
        cluster.workers()
        _compare(cluster.asked(resolve_name, "rateproof:__version__"))
        yield cluster


@contextmanager
def _started(workers: int) -> Iterator[tuple[Path, Any]]:
    """A folder, and a cluster of processes of one thread; each task sees to the memory that it takes."""
    import dask
    from distributed import LocalCluster

    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        stack.enter_context(dask.config.set({**_SETTINGS, "temporary-directory": str(folder)}))
        with _interrupts_later():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",  # where its figures are; None: a port for everybody
                scheduler_kwargs={"dashboard": False},
                local_directory=str(folder),
                silence_logs=logging.CRITICAL,
            )
            stack.callback(_end, cluster)
        yield folder, cluster


def _end(cluster: Any) -> None:
    """End a cluster of this machine; that a process takes long to go there takes no result away."""
    with suppress(TimeoutError):
        cluster.close()


def _ask(address: str) -> None:
    """Ask who is there: Dask's client itself leaves threads behind where nobody is."""
    from distributed import Security
    from distributed.core import CommClosedError, rpc

    async def identity() -> Any:
        arguments = Security().get_connection_args("client")
        async with rpc(address, connection_args=arguments, timeout=_ANSWER_S) as there:
            return await asyncio.wait_for(there.identity(), _ANSWER_S)

    try:
        found = asyncio.run(identity())
    except (OSError, TimeoutError, CommClosedError) as error:
        hint = "`dask scheduler` starts one"
        raise Unreachable(f"no Dask scheduler answers at {address}", hint) from error
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"--on {address}: {error}", "tcp://HOST:PORT") from error
    if found.get("type") != "Scheduler":
        raise InvalidArgument(
            f"--on {address} is a Dask {found.get('type', 'process').lower()}",
            "the address of the scheduler",
        )


def _compare(versions: dict[str, Any]) -> None:
    for address, told in sorted(versions.items()):
        if isinstance(told, ModuleNotFoundError):
            raise InvalidArgument(
                f"the worker {address} has no rateproof", f"install {__version__} there"
            )
        if isinstance(told, BaseException):
            raise told
        if told != __version__:
            raise _other_version(address, told, __version__)


def _other_version(address: str, there: str, here: str) -> InvalidArgument:
    return InvalidArgument(
        f"the worker {address} has rateproof {there}, and this is {here}",
        "the same version on every machine",
    )


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Leave Ctrl-C for afterwards here, and to this process for ever in those that are started now."""
    ensure_running()  # it would let signals pass in whichever thread it is started from
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _do(asking: str, work: Callable[..., Any], *given: Any) -> Any:
    """Do a task, on a worker: it may have come after the versions were compared."""
    if asking != __version__:
        from distributed import get_worker

        raise _other_version(get_worker().address, __version__, asking)
    return work(*given)
