"""A soak of the native table: `make soak` for ten minutes, one of them among the slow tests."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")
SMALL = 'mount -t tmpfs -o size=4m tmpfs /dev/shm && exec "$@" tmpfs'
SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
MOST_NEEDLESS = 0.05
"""Of denials: a permit is burnt by each kill in the middle of a hit, and stays so for a window."""


def soaked(seconds, seed):
    """The episodes of so long a soak; on a small /dev/shm where that can be had."""
    words = [sys.executable, str(SOAK), str(seconds), str(seed)]
    namespace = ["unshare", "--mount", "sh", "-c", SMALL, "sh"]
    try:
        subprocess.run([*namespace, "true"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        namespace = []
    process = subprocess.run(
        [*namespace, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=3 * seconds + 120,
    )
    return [json.loads(line) for line in process.stdout.splitlines()]


def judge(episodes, seed):
    total = {
        name: sum(episode[name] for episode in episodes)
        for name, value in episodes[0].items()
        if isinstance(value, int)
    }
    share = total["needless"] / max(1, total["denied"])
    sys.stdout.write(
        f"\nsoak, seed {seed}: {len(episodes)} episodes, {total}\n"
        f"needless denials: {share:.2%} of {total['denied']}\n"
    )
    assert [each for episode in episodes for each in episode["too_many"]] == []
    assert total["stuck"] == 0
    assert min(episode["admitted"] for episode in episodes) > 0
    assert share < MOST_NEEDLESS


@pytest.mark.slow
def test_one_episode_admits_too_many_nowhere_and_leaves_nobody_stuck():
    judge(soaked(1, 1), 1)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(3 * SECONDS + 180)
def test_a_soak_admits_too_many_nowhere_and_leaves_nobody_stuck():
    seed = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))
    judge(soaked(SECONDS, seed), seed)
