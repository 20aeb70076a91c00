"""The hunt against limiters that it was not made for: each is wrong in its own way."""

import pytest

# A window is full only where it is answered fast.
pytestmark = [pytest.mark.slow, pytest.mark.alone]

PROGRAM = """
import random, threading, time
from collections import OrderedDict, defaultdict, deque

N, W = 5, 2.0
lock, states, recent = threading.Lock(), defaultdict(dict), OrderedDict()


def log(state, now, window=W, limit=N):
    times = state.setdefault("times", deque())
    while times and times[0] <= now - window:
        times.popleft()
    if len(times) >= limit:
        return False
    times.append(now)
    return True


def count(state, window):
    counts = state.setdefault("counts", defaultdict(int))
    counts[window] += 1
    return counts[window] <= N


def exact(state, now, key):
    return log(state, now)


def window_1_percent_too_short(state, now, key):
    return log(state, now, 0.99 * W)


def one_more_after_a_pause(state, now, key):
    if now - state.get("last", now) > W:
        state["pause"] = now
    state["last"] = now
    return log(state, now, limit=N + (now - state.get("pause", -W) < W))


def ten_parts(state, now, key):
    part = int(now / (W / 10))
    counts = state.setdefault("counts", defaultdict(int))
    if sum(counts[part - back] for back in range(10)) >= N:
        return False
    counts[part] += 1
    return True


def phase_of_each_key(state, now, key):
    return count(state, (now + state.setdefault("phase", random.random() * W)) // W)


def one_in_50_slips_through(state, now, key):
    return random.random() < 0.02 or log(state, now)


def knows_300_clients(state, now, key):
    state = recent[key] = recent.pop(key, {})
    if len(recent) > 300:
        recent.popitem(last=False)
    return log(state, now)


def thirty_first_is_free(state, now, key):
    state["asked"] = state.get("asked", 0) + 1
    return state["asked"] == 31 or log(state, now)


def app(environ, start_response):
    name, key = environ["PATH_INFO"].strip("/"), environ["QUERY_STRING"]
    with lock:
        admitted = globals()[name](states[name, key], time.monotonic(), key)
    start_response("200 OK" if admitted else "429 Too Many", [("Content-Length", "0")])
    return [b""]
"""

WRONG = (
    "window_1_percent_too_short",
    "one_more_after_a_pause",
    "ten_parts",
    "phase_of_each_key",
    "one_in_50_slips_through",
    "knows_300_clients",
    "thirty_first_is_free",
)


@pytest.fixture
def verdict(run_tester, spawn, free_port, wait_for_port, tmp_path):
    """The outcome of a hunt against a limiter, of a minute for an exact one."""
    (tmp_path / "strangers.py").write_text(PROGRAM)
    server = spawn(
        *("-m", "gunicorn", "strangers:app", "--preload", "--chdir", tmp_path, "--threads", 16),
        *("--bind", f"127.0.0.1:{free_port}", "--log-level", "warning", "--keep-alive", 30),
    )
    wait_for_port(free_port, server)

    def judged(name, seed, duration):
        steps = ("--claim", "over-admission", "--seed", seed, "--duration", duration)
        url = f"http://127.0.0.1:{free_port}/{name}"
        _, lines, words = run_tester(url, *steps, "--fail-fast", "--no-shrink", policy="5 per 2s")
        return lines[-1]["verdict"], words

    return judged


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(verdict, name):
    found, words = verdict(name, 1, "200s")
    assert found == "violated", words


def test_what_is_right_is_not_called_wrong(verdict):
    found, words = verdict("exact", 0, "60s")
    assert found == "consistent", words
