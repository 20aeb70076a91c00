"""Three machines: a hub with a scheduler and a server, and two workers whose clocks are hours ahead.

    unshare --net --fork --kill-child python machines.py FOLDER

Each worker has a network and a time of its own. Prints one JSON object for each act.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HUB, SCHEDULER = "10.77.0.1", "tcp://10.77.0.1:8786"
POLICY = "5 per 1s"
AHEAD_S = (36_000, 90_000)
WORKER = """
while ! ip link show w{n} >/dev/null 2>&1; do sleep 0.05; done
ip link set lo up && ip addr add 10.77.{n}.2/24 dev w{n} && ip link set w{n} up
ip route add default via 10.77.{n}.1
exec {python} -m distributed.cli.dask_worker {scheduler} --no-nanny --nthreads 1 --no-dashboard \
  --host 10.77.{n}.2 --local-directory {folder}
"""
PYTHON = sys.executable


def tell(act, **found):
    print(json.dumps({"act": act, **found}), flush=True)  # noqa: T201 - what the test reads


def wait_until(true, what):
    deadline = time.monotonic() + 60
    while not true():
        if time.monotonic() > deadline:
            sys.exit(f"{what} never came")
        time.sleep(0.05)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def worker(number, folder):
    """A machine of its own, as soon as it has its network."""
    own = ["unshare", "--net", "--time", "--monotonic", str(AHEAD_S[number - 1]), "--fork"]
    told = {"n": number, "python": PYTHON, "scheduler": SCHEDULER, "folder": folder}
    machine = subprocess.Popen([*own, "--kill-child", "sh", "-c", WORKER.format(**told)])
    here = Path("/proc/self/ns/net").readlink()
    wait_until(lambda: Path(f"/proc/{machine.pid}/ns/net").readlink() != here, "a network")
    ip("link", "add", f"v{number}", "type", "veth", "peer", f"w{number}", "netns", str(machine.pid))
    ip("addr", "add", f"10.77.{number}.1/24", "dev", f"v{number}")
    ip("link", "set", f"v{number}", "up")
    return machine


def rateproof(*words, **options):
    return subprocess.Popen([PYTHON, "-m", "rateproof", *map(str, words)], text=True, **options)


def simulate(url, *words):
    more = ("--yes", "--max-rate", 400, "--on", SCHEDULER, "--json", "--plain")
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return rateproof("simulate", url, "--policy", POLICY, *more, *words, **piped)


def judged(log):
    """The verdict of `check` on a log, as data."""
    found = rateproof("check", log, "--json", stdout=subprocess.PIPE).communicate(timeout=120)[0]
    return json.loads(found)


def decided(url):
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("rateproof_decisions"))


def acts(url, machines, folder):
    from rateproof.cluster import connected

    with connected(SCHEDULER) as cluster:
        there = cluster.client.run(time.monotonic)
        tell("clocks", ahead_s=sorted(at - time.monotonic() for at in there.values()))

    log = folder / "whole.parquet"
    run = simulate(url, "--clients", 12, "--duration", "3s", "-o", log)
    said, words = run.communicate(timeout=120)
    tell("whole", summary=json.loads(said), words=words, verdict=judged(log))

    left = simulate(url, "--clients", 12, "--duration", "10m")
    before = decided(url)
    wait_until(lambda: decided(url) > before + 20, "load")
    left.kill()
    left.wait()

    def quiet():
        """True once a second passes without a request."""
        now = decided(url)
        time.sleep(1)
        return decided(url) == now

    wait_until(quiet, "the end of load that nobody waits for")
    tell("orphaned", ended=True)

    log = folder / "lost.parquet"
    run = simulate(url, "--clients", 12, "--duration", "15s", "-o", log)
    before = decided(url)
    wait_until(lambda: decided(url) > before + 20, "load")
    machines[0].kill()
    said, words = run.communicate(timeout=120)
    tell("lost", summary=json.loads(said), words=words, verdict=judged(log), code=run.returncode)


def main():
    folder = Path(sys.argv[1])
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{HUB}/32", "dev", "lo")
    begun = []
    try:
        own = ("--host", HUB, "--port", "8786", "--no-dashboard")
        begun.append(subprocess.Popen([PYTHON, "-m", "distributed.cli.dask_scheduler", *own]))
        served = ("--host", HUB, "--port", 8080, "--policy", POLICY, "--workers", 1)
        begun.append(rateproof("serve", *served, "--store", "memory://", "--metrics", "any"))
        url = f"http://{HUB}:8080"

        def answers():
            with contextlib.suppress(OSError):
                return decided(url) >= 0

        machines = [worker(number, folder) for number in (1, 2)]
        begun += machines
        wait_until(answers, "the server")
        from rateproof.cluster import connected

        def both():
            with contextlib.suppress(Exception), connected(SCHEDULER) as cluster:
                return len(cluster.workers()) == 2

        wait_until(both, "the workers")
        acts(url, machines, folder)
    finally:
        for each in begun:
            each.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
