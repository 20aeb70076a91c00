"""A signal handler may raise at any instruction: nothing stays locked."""

import subprocess

from rateproof import Limiter

INTERRUPTED = """
import os, random, signal, sys, threading, time
from rateproof import Limiter

class Interrupted(Exception): pass

armed = False  # only what can be caught is raised

def interrupt(*_):
    global armed
    if armed:
        armed = False
        raise Interrupted

def decide():
    limiter = Limiter("5 per 1h; 9 per 2h", store=sys.argv[1], capacity=1_000)
    limiter.hit("key")
    limiter.hit(os.urandom(1), cost=2)
    limiter.close()

decide()
descriptors = os.listdir("/proc/self/fd")
chance = random.Random(1)
signal.signal(signal.SIGALRM, interrupt)
attempts = interrupted = 0
end = time.monotonic() + 4
while time.monotonic() < end or interrupted <= 100:
    attempts += 1
    try:
        armed = True
        # Once, a few dozen us from here or a few thousand: everything is met at some time.
        signal.setitimer(signal.ITIMER_REAL, 10 ** chance.uniform(-5, -2.5))
        decide()
        armed = False
    except Interrupted:
        interrupted += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
took = []
for _ in range(3):
    start = time.monotonic()
    decide()
    took.append(time.monotonic() - start)
assert min(took) < 0.9, "something stayed locked"
thread = threading.Thread(target=decide, daemon=True)
thread.start()
thread.join(30)
assert not thread.is_alive(), "something stayed locked"
left = len(os.listdir("/proc/self/fd")) - len(descriptors)
assert left <= 0, f"{left} descriptors stayed open"
print("done", flush=True)
input()
"""


def test_an_exception_at_any_instruction_of_opening_locks_nobody_out(spawn, store):
    worker = spawn("-c", INTERRUPTED, store, stdin=subprocess.PIPE)
    said = worker.stdout.readline()
    assert said == "done\n", worker.communicate(timeout=60)
    # The process lives on: what it had locked would be locked still.
    with Limiter("5 per 1h; 9 per 2h", store=store, capacity=1_000) as limiter:
        assert not limiter.hit("key").admitted
        assert limiter.hit("new", cost=3).admitted
