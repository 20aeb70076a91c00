"""Work done by other processes: whoever dies or is missing, it ends, and is told by name."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from distributed.core import CommClosedError

from rateproof import __version__, cluster
from rateproof.cluster import Lost, connected
from rateproof.errors import InvalidArgument, Unreachable
from rateproof.events import shares

SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def process():
    return os.getpid()


def killed_once(mark, number):
    """End the process in which this is done for the first time."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def waiting(began, ended):
    """Say that it began, and wait for a file that says it may end."""
    Path(began).touch()
    while not Path(ended).exists():
        time.sleep(0.01)
    return "done"


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def refuse(what):
    raise InvalidArgument(what, "another")


def test_work_is_done_by_other_processes_and_each_result_has_its_number(two):
    found = dict(two.results(two.submit(pow, number, 2) for number in range(20)))
    assert found == {number: number**2 for number in range(20)}
    each = [two.submit(process, worker=worker) for worker in two.workers()]
    assert len({pid for _, pid in two.results(each)} - {os.getpid()}) == 2


def test_workers_are_there_also_while_dask_asks_for_itself(two, monkeypatch):
    """Its client asks every two seconds for all but the workers, and keeps the last answer."""
    sync = two.client.sync

    def before_it(*given, **named):
        found = sync(*given, **named)
        sync(two.client._update_scheduler_info)
        return found

    monkeypatch.setattr(two.client, "sync", before_it)
    assert len(two.workers()) == 2


def test_work_that_was_done_and_is_gone_before_its_result_came_is_lost(two, monkeypatch):
    """Its worker went in between: Dask would wait for ever for who may do it again."""
    nobody = "tcp://127.0.0.1:1"
    work = two.submit(pow, 3, 2, worker=nobody)
    done = iter([True])
    monkeypatch.setattr(type(work), "done", lambda of: next(done, False) or of.status == "finished")
    monkeypatch.setattr(cluster, "_ANSWER_S", 0.1)
    assert dict(two.results([work])) == {0: Lost(nobody)}


def refuse_late():
    raise TimeoutError("what it waited for")


def test_an_error_of_a_task_that_waited_in_vain_is_not_taken_for_a_result_that_is_late(two):
    with pytest.raises(TimeoutError, match="what it waited for"):
        list(two.results([two.submit(refuse_late)]))


def test_a_worker_that_goes_while_all_are_asked_is_left_out(two, monkeypatch):
    gone, *others = two.workers()
    run = two.client.run

    def some(*given, **named):
        return run(*given, **named) | {gone: CommClosedError("in <TCP>: Stream is closed")}

    monkeypatch.setattr(two.client, "run", some)
    assert {*two.asked(process)} == {*others}
    assert shares._share(two, two.workers()) > 0


def test_workers_that_take_long_to_end_take_no_result_away(monkeypatch):
    """On a busy machine Dask gives up waiting for them, after it has killed them."""
    close = LocalCluster.close

    def late(cluster, timeout=None):
        close(cluster, timeout)
        raise TimeoutError

    monkeypatch.setattr(LocalCluster, "close", late)
    with connected("dask", 1) as one:
        assert dict(one.results([one.submit(pow, 3, 2)])) == {0: 9}


def test_an_error_of_a_task_is_that_of_the_whole(two):
    with pytest.raises(InvalidArgument, match="what it says") as told:
        list(two.results([two.submit(refuse, "what it says")]))
    assert told.value.hint == "another"


def test_a_worker_that_is_killed_changes_nothing(two, tmp_path):
    work = [two.submit(killed_once, str(tmp_path / "mark"), number) for number in range(6)]
    assert dict(two.results(work)) == {number: number for number in range(6)}
    assert (tmp_path / "mark").exists()


def blocked():
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_worker_that_starts_again_slowly_is_not_given_up(two):
    """After this time Dask ends whoever would start it, and none comes in its place."""
    import dask
    from dask.utils import parse_timedelta

    assert two.client.cluster is not None
    assert parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout")) >= 3600


def test_an_interrupt_is_left_to_whoever_started_the_workers_and_nothing_to_others(two):
    assert all(signal.SIGINT in found for found in two.client.run(blocked).values())
    assert signal.SIGINT not in blocked()
    assert Path(two.client.cluster.scheduler.local_directory).is_relative_to(two.folder)


@pytest.mark.slow
def test_work_for_a_worker_that_is_gone_is_lost_and_named(two, tmp_path):
    first = next(iter(two.workers()))
    began, ended = tmp_path / "began", tmp_path / "ended"
    work = [two.submit(waiting, str(began), str(ended), worker=first), two.submit(process)]
    wait_for(began)
    (pid,) = two.client.run(process, workers=[first]).values()
    os.kill(pid, signal.SIGKILL)
    found = dict(two.results(work))
    assert found[0] == Lost(first)
    assert found[1] != pid


def test_a_worker_of_another_version_is_refused_by_name(two):
    late = two.client.submit(cluster._do, "0.0.9", process)  # it came after the comparison
    worker = f"the worker tcp://127.0.0.1:[0-9]+ has rateproof {__version__}, and this is 0.0.9"
    with pytest.raises(InvalidArgument, match=worker):
        list(two.results([late]))
    with pytest.raises(InvalidArgument, match=f"tcp://b:1 has rateproof 9.9, .* {__version__}"):
        cluster._compare({"tcp://a:1": __version__, "tcp://b:1": "9.9"})
    with pytest.raises(InvalidArgument, match="tcp://b:1 has no rateproof"):
        cluster._compare({"tcp://b:1": ModuleNotFoundError("rateproof")})


def test_what_is_no_scheduler_is_told_in_bounded_time(two, free_port, monkeypatch):
    at = f"tcp://127.0.0.1:{free_port}"
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_ANSWER_S", 0.5)
        with pytest.raises(Unreachable, match=f"no Dask scheduler answers at {at}"), connected(at):
            pass
    worker = next(iter(two.workers()))
    with pytest.raises(InvalidArgument, match=f"{worker} is a Dask worker"), connected(worker):
        pass
    at = f"tls://127.0.0.1:{free_port}"
    with pytest.raises(InvalidArgument, match=f"--on {at}: TLS expects"), connected(at):
        pass


def test_without_dask_the_package_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InvalidArgument, match="--on dask needs Dask") as told, connected("dask"):
        pass
    assert told.value.hint == "pip install 'rateproof[dask]'"


@pytest.fixture
def scheduler(spawn, free_port, wait_for_port):
    """The address of a scheduler of its own process, and that process."""
    process = spawn(
        *("-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", free_port, "--no-dashboard"),
        **SILENT,
    )
    wait_for_port(free_port, process)
    return f"tcp://127.0.0.1:{free_port}", process


@pytest.fixture
def start_worker(spawn, scheduler, tmp_path):
    """Start a worker with these variables, and without a nanny, and wait until it is there."""

    def start(**variables):
        process = spawn(
            *("-m", "dask", "worker", scheduler[0], "--no-nanny", "--no-dashboard"),
            *("--nthreads", 1, "--local-directory", tmp_path),
            env=os.environ | variables,
            **SILENT,
        )
        with Client(scheduler[0], timeout=60, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=120)
        return process

    return start


@pytest.mark.slow
def test_workers_of_other_machines_are_asked_for_their_version(scheduler, start_worker, tmp_path):
    with pytest.raises(Unreachable, match="has no worker"), connected(scheduler[0]):
        pass
    (tmp_path / "rateproof.py").write_text('__version__ = "9.9.9"\n')
    start_worker(PYTHONPATH=str(tmp_path))
    told = r"has rateproof 9\.9\.9, and"
    with pytest.raises(InvalidArgument, match=told), connected(scheduler[0]):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["workers", "scheduler"])
def test_a_scheduler_or_all_workers_that_go_meanwhile_end_the_work(
    scheduler, start_worker, tmp_path, victim
):
    began, ended = tmp_path / "began", tmp_path / "ended"
    address, process = scheduler
    worker = start_worker()
    with connected(address) as here:
        here._without_worker_s = 1
        work = [here.submit(waiting, str(began), str(ended))]
        wait_for(began)
        (worker if victim == "workers" else process).kill()
        told = "has no worker" if victim == "workers" else f"scheduler at {address} is gone"
        with pytest.raises(Unreachable, match=told):
            list(here.results(work))


@pytest.mark.slow
def test_a_task_that_ends_every_worker_is_given_up(two):
    with pytest.raises(Unreachable, match="one task ended 4 workers"):
        list(two.results([two.submit(os.abort)]))
