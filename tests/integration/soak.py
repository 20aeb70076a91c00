"""Eight processes on small tables, killed, stopped, forked and reloaded: `test_soak.py` runs this.

    python soak.py SECONDS SEED [tmpfs]

Prints one JSON object an episode. With `tmpfs`, /dev/shm is a small one of its own, which is filled now
and then. An episode draws a policy, a capacity and some keys; its processes report every decision with
the bounds of its instant, and what they report is judged here, by counting.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROCESSES = 8
EPISODE_S = 5.0
PATIENCE_S = 20  # for a process to come to its end on a machine that is loaded
SECOND_NS = 10**9
ALGORITHMS = ("sliding-log", "token-bucket", "fixed-window", "first-hit-window", "sliding-counter")

WORKER = """
import os, random, sys, time
from rateproof import Limiter
from rateproof.errors import RateproofError
store, policy, capacity, keys, most, folder, seed = sys.argv[1:]
draw = random.Random(seed)
def opened():
    return Limiter(policy, store=store, capacity=int(capacity))
def report_to(name):
    return os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
report = report_to(str(os.getpid()))
limiter, children = None, []
while not os.path.exists(os.path.join(folder, "over")):
    try:
        if limiter is None:
            limiter = opened()
        key, cost = draw.randrange(int(keys)), draw.choice([1, 1, draw.randint(1, int(most))])
        begin = time.monotonic_ns()
        decision = limiter.hit(str(key), cost)
        code = "+" if decision.admitted else "f" if decision.reason == "full" else "-"
        os.write(report, b"%d %d %d %d %s\\n" % (key, cost, begin, time.monotonic_ns(), code.encode()))
        if draw.random() < 0.002:
            limiter.close()
            limiter = None
        if draw.random() < 0.002 and len(children) < 2:
            child = os.fork()
            if child == 0:
                children, draw = [None, None], random.Random(os.getpid())
                report = report_to(str(os.getpid()))
            else:
                children.append(child)
    except RateproofError as error:
        os.write(report, b"# %s\\n" % str(error).encode())
        limiter = None
        time.sleep(0.01)
    time.sleep(draw.random() * 0.003)
for child in filter(None, children):
    os.waitpid(child, 0)
"""


class Episode:
    """One policy on one store, and what happens to its processes."""

    def __init__(self, number, draw, *, small):
        self.draw = draw
        self.small = small
        self.store = f"soak-{os.getpid()}-{number}"
        self.shm = Path(f"/dev/shm/rateproof-{os.geteuid()}-{self.store}")
        self.folder = Path(tempfile.mkdtemp(prefix="soak-"))
        self.quotas = [self.drawn_quota() for _ in range(draw.choice([1, 1, 2]))]
        self.most = min(burst for _, _, _, burst in self.quotas)
        self.capacity = draw.choice([1, 4, 9, 18, 36])
        self.keys = draw.choice([1, 3, 8, 40])
        self.deleted_ns = None
        self.seed = 0

    def drawn_quota(self):
        algorithm = self.draw.choice(ALGORITHMS)
        limit, window_ms = self.draw.randint(2, 30), self.draw.randint(40, 400)
        burst = self.draw.randint(2, 30) if algorithm == "token-bucket" else limit
        return algorithm, limit, window_ms * 1_000_000, burst

    @property
    def policy(self):
        return "; ".join(
            f"{algorithm} {limit} per {window_ns // 1_000_000}ms"
            + (f" burst {burst}" if algorithm == "token-bucket" else "")
            for algorithm, limit, window_ns, burst in self.quotas
        )

    def start(self):
        self.seed += 1
        figures = (self.policy, self.capacity, self.keys, self.most, self.folder, self.seed)
        words = [sys.executable, "-c", WORKER, f"shm://{self.store}", *map(str, figures)]
        return subprocess.Popen(words, stderr=subprocess.DEVNULL)

    def run(self):
        workers = [self.start() for _ in range(PROCESSES)]
        delete = self.draw.random() < 0.3
        end = time.monotonic() + EPISODE_S
        happened = {"kills": 0, "stops": 0, "fills": 0}
        while time.monotonic() < end:
            time.sleep(self.draw.random() * 0.3)
            victim = self.draw.randrange(PROCESSES)
            what = self.draw.random()
            if what < 0.4:
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = self.start()
                happened["kills"] += 1
            elif what < 0.8:
                workers[victim].send_signal(signal.SIGSTOP)
                time.sleep(self.draw.random() * 0.3)
                workers[victim].send_signal(signal.SIGCONT)
                happened["stops"] += 1
            elif self.small and what < 0.9:
                self.fill()
                happened["fills"] += 1
            if delete and end - time.monotonic() < EPISODE_S * 0.6 and self.shm.exists():
                before = time.monotonic_ns()
                shutil.rmtree(self.shm, ignore_errors=True)
                self.deleted_ns, delete = (before, time.monotonic_ns()), False
        (self.folder / "over").touch()
        stuck = 0
        for worker in workers:
            try:
                worker.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                stuck += 1
                worker.kill()
                worker.wait()
        return happened | {"stuck": stuck, "deleted": self.deleted_ns is not None} | self.judged()

    def fill(self):
        """No room in /dev/shm for a moment."""
        filler = Path("/dev/shm/filler")
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(65_536))
        time.sleep(0.1)
        filler.unlink(missing_ok=True)

    def judged(self):
        """Judge the reports of the processes."""
        rows, errors = [], 0
        for file in self.folder.iterdir():
            text = file.read_text(errors="replace")
            for line in text[: text.rfind("\n") + 1].splitlines():
                if line.startswith("#"):
                    errors += 1
                else:
                    *figures, code = line.split()
                    rows.append((*map(int, figures), code))
        too_many, needless, denied = [], 0, 0
        for key in range(self.keys):
            mine = [row[1:] for row in rows if row[0] == key]
            admitted = [row[:3] for row in mine if row[3] == "+"]
            for quota in self.quotas:
                too_many += [
                    f"{self.policy}, key {key}: {each}" for each in self.excess(quota, admitted)
                ]
            if [name for name, *_ in self.quotas] == ["sliding-log"] and not self.deleted_ns:
                refused = [row[:3] for row in mine if row[3] == "-"]
                denied += len(refused)
                needless += sum(self.is_needless(row, admitted) for row in refused)
        codes = [row[-1] for row in rows]
        shutil.rmtree(self.folder)
        shutil.rmtree(self.shm, ignore_errors=True)
        counts = {"decisions": len(rows), "admitted": codes.count("+"), "full": codes.count("f")}
        told = {"policy": self.policy, "capacity": self.capacity, "errors": errors}
        return told | counts | {"too_many": too_many, "denied": denied, "needless": needless}

    def excess(self, quota, admitted):
        """Spans that certainly hold more than the quota lets through."""
        parts = [(1, admitted)]
        if self.deleted_ns:
            before_ns, after_ns = self.deleted_ns
            earlier = [row for row in admitted if row[2] < before_ns]
            later = [row for row in admitted if row[1] > after_ns + SECOND_NS]
            parts = [(2, admitted), (1, earlier), (1, later)]
        for times, part in parts:
            ordered = sorted(part, key=lambda row: row[2])
            for windows in (1, 2, 5):
                span_ns = windows * quota[2]
                most = times * allowed(quota, windows)
                for index, (_, _, last_ns) in enumerate(ordered):
                    count = 0
                    for cost, begin_ns, _ in reversed(ordered[: index + 1]):
                        if begin_ns > last_ns - span_ns:
                            count += cost
                        elif begin_ns < last_ns - 2 * span_ns - SECOND_NS:
                            break
                    if count > most:
                        yield f"{count} in {windows} windows, {most} allowed"
                        break

    def is_needless(self, row, admitted):
        """Say whether all that can have been counted left room for what was denied."""
        cost, begin_ns, last_ns = row
        _, limit, window_ns, _ = self.quotas[0]
        possible = sum(
            each
            for each, since, until in admitted
            if until > begin_ns - window_ns and since < last_ns
        )
        return possible + cost <= limit


def allowed(quota, windows):
    """The most admissions in a time shorter than so many windows."""
    algorithm, limit, window_ns, burst = quota
    if algorithm == "sliding-log":
        return limit * windows
    if algorithm == "token-bucket":
        return burst + windows * window_ns // -(-window_ns // limit)
    return limit * (windows + 1)


def main():
    seconds, seed, small = float(sys.argv[1]), int(sys.argv[2]), "tmpfs" in sys.argv[3:]
    draw = random.Random(seed)
    end, number = time.monotonic() + seconds, 0
    while number == 0 or time.monotonic() < end:
        number += 1
        told = Episode(number, draw, small=small).run()
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
