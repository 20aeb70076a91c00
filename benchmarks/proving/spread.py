"""`rateproof check --on dask` with so many workers, a process of its own: what it and they take."""

import json
import operator
import pickle
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from rateproof.cluster import connected
from rateproof.events import known_clients_only
from rateproof.events.shares import pieces_on
from rateproof.policy import Policy
from rateproof.prove import judge, pieces


class Taken(NamedTuple):
    """Time and bytes that a check took, or that having work done takes.

    Args:
        passed: s from when the workers were there.
        each: s a task that does nothing.
        gathered: bytes of what a piece gives.
        joined: s to put these together.
        worked: s of processor time, those of starting included.
    """

    passed: float = 0.0
    each: float = 0.0
    gathered: float = 0.0
    joined: float = 0.0
    worked: float = 0.0


def spread(path: Path, policy: Policy, workers: int, *, tasks: int = 0) -> Taken:
    """Check a log by so many workers; or have them do tasks that do nothing."""
    words = [str(path), str(policy), str(workers), str(tasks)]
    done = subprocess.run(
        [sys.executable, "-m", "proving.spread", *words],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    return Taken(**json.loads(done.stdout))


def main(path: str, policy: str, workers: str, tasks: str) -> None:
    with connected("dask", int(workers)) as cluster:
        begun = time.perf_counter()
        if int(tasks):
            dict(cluster.results(cluster.submit(operator.neg, 1) for _ in range(int(tasks))))
            taken = Taken(each=(time.perf_counter() - begun) / int(tasks))
        else:
            taken = _checked(cluster, Path(path), Policy.parse(policy))
            taken = taken._replace(passed=time.perf_counter() - begun)
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    worked = sum(one.ru_utime + one.ru_stime for one in used)
    print(json.dumps(taken._replace(worked=worked)._asdict()))


def _checked(cluster: Any, path: Path, policy: Policy) -> Taken:
    found, joined_s = list[Any](), list[float]()
    joined = pieces.joined

    def timed(log: Any, question: Any, surveys: Iterable[Any]) -> Any:
        found.extend(surveys)
        begun = time.perf_counter()
        told = joined(log, question, found)
        joined_s.append(time.perf_counter() - begun)
        return told

    pieces.joined = timed
    prepared = known_clients_only, known_clients_only
    with pieces_on(cluster, [path], None, prepared, lambda _: None, name=str(path)) as log:
        assert log is not None, "too short"
        judge(log, policy)
    sizes = [len(pickle.dumps(one)) for one in found]
    return Taken(gathered=sum(sizes) / len(sizes), joined=joined_s[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
