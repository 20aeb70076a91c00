"""A real API that answers 401 to whom it does not know, tested with keys of a file."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rateproof.events import read_log
from tests.samples import quick_first

APP = Path(__file__).with_name("known_clients_app.py")
SECRET = "s3cr3t-token"
WINDOW_S = 1.0


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[int], Path]:
    def write(count: int) -> Path:
        path = tmp_path / f"keys-{count}.txt"
        path.write_text("".join(f"Bearer {SECRET}-{number:04}\n" for number in range(count)))
        return path

    return write


@pytest.fixture
def api(
    free_port: int, keys: Callable[[int], Path], wait_for_port: Callable[..., None]
) -> Iterator[Callable[[str], str]]:
    running: list[subprocess.Popen[bytes]] = []

    def start(kind: str) -> str:
        command = [sys.executable, APP, str(free_port), keys(200), kind, str(WINDOW_S)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        running.append(process)
        wait_for_port(free_port, process)
        return f"http://127.0.0.1:{free_port}/"

    yield start
    for process in running:
        process.kill()
        process.wait()


def rateproof(*words: object, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "rateproof", *map(str, words)],
        cwd=folder,
        env=os.environ | {"TOKEN": f"{SECRET}-env"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test(url: str, *words: object, folder: Path) -> tuple[int, str]:
    policy = ("--policy", f"5 per {WINDOW_S:g}s", "--iterations", 3, "--out", folder / "out")
    return rateproof(
        "test", url, "--key", "header:Authorization", *policy, "--junit", "junit.xml", *words,
        folder=folder,
    )  # fmt: skip


test.__test__ = False


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 10, 200])
def test_an_exact_limiter_is_consistent_with_as_many_keys_as_there_are(
    api: Callable[[str], str], keys: Callable[[int], Path], tmp_path: Path, count: int
) -> None:
    code, said = test(api("exact"), "--keys", keys(count), folder=tmp_path)
    assert (code, "CONSISTENT: " in said) == (0, True), said
    assert f"{count} keys of " in said
    assert "not tried with so few" in said


@pytest.mark.alone
@pytest.mark.parametrize("count", quick_first([10, 3, 200]))
def test_fixed_windows_are_found_violated_and_nothing_shows_a_key(
    api: Callable[[str], str], keys: Callable[[int], Path], tmp_path: Path, count: int
) -> None:
    """Nothing that it prints, leaves behind, or shows others of its processes has one."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        code, said = test(
            api("fixed"),
            *("--keys", keys(count), "--fail-fast", "--shrink-time", "1s", "--worst-time", "0s"),
            *("-H", "X-Also: @env:TOKEN", "--query", "also=@env:TOKEN", "-d", "@env:TOKEN"),
            *("-X", "POST"),
            folder=tmp_path,
        )
    finally:
        over.set()
        looking.join()
    assert code == 1, said
    assert "VIOLATED" in said
    assert SECRET not in said
    assert not any(SECRET.encode() in words for words in seen)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "keys-" not in path.name]
    assert {path.suffix for path in left} >= {".txt", ".html", ".xml"}
    assert not [path for path in left if SECRET.encode() in path.read_bytes()]
    (repeat, *_) = re.findall(r"repeat +(\S.*)", said)
    for word in ("--keys", "'X-Also: @env:TOKEN'", "also=@env:TOKEN", "--data @env:TOKEN"):
        assert word in repeat
    log = read_log(max(path for path in left if "test_log" in path.name))
    assert SECRET not in json.dumps(log.metadata)
    assert all(key.startswith(b"k-") for key in log.column("key"))
    assert log.metadata["fresh_keys"] is True


def test_a_test_whose_keys_run_out_says_so_and_is_not_consistent(
    scripted: Callable[..., Any], keys: Callable[[int], Path], tmp_path: Path
) -> None:
    """Windows of an hour are not waited for, so each key is used once."""
    lock, given = threading.Lock(), Counter[bytes]()

    def script(connection: socket.socket, head: bytes) -> None:
        with lock:
            given[client := head.partition(b"Bearer ")[2].partition(b"\r")[0]] += 1
            said = b"200 OK" if given[client] <= 5 else b"429 Too Many Requests"
        connection.sendall(b"HTTP/1.1 " + said + b"\r\nContent-Length: 0\r\n\r\n")

    words = ("--keys", keys(12), "--fresh-keys", "--policy", "5 per 1h", "--json")
    code, said = test(scripted(script).target().url, *words, folder=tmp_path)
    totals = json.loads(next(line for line in said.splitlines() if '"type": "totals"' in line))
    assert code == 2, said
    assert totals["answer"].startswith(("NOT TESTED: ", "INCONCLUSIVE: "))
    assert "many other clients" in totals["untried"]
    assert "; they are used up" in totals["keys"]
    assert sum(given.values()) == totals["requests"], "nothing was sent once they had run out"


@pytest.mark.alone
def test_without_keys_it_is_inconclusive_and_says_what_to_do(
    api: Callable[[str], str], tmp_path: Path
) -> None:
    code, said = test(api("exact"), "--iterations", 1, "--worst-time", "0s", folder=tmp_path)
    assert code == 2
    assert "401" in said
    assert "--keys" in said


def test_a_simulation_says_that_its_keys_are_not_fresh(
    api: Callable[[str], str], keys: Callable[[int], Path], tmp_path: Path
) -> None:
    url, words = api("exact"), ("--key", "header:Authorization", "--duration", "1s", "--plain")
    code, said = rateproof(
        "simulate", url, *words, "--keys", keys(10), "--clients", 5, "-o", "log.jsonl",
        folder=tmp_path,
    )  # fmt: skip
    assert code == 0, said
    assert read_log(tmp_path / "log.jsonl").metadata["fresh_keys"] is False
    assert SECRET not in said + (tmp_path / "log.jsonl").read_text()
    code, said = rateproof(
        "simulate", url, *words, "--keys", keys(3), "--clients", 5, folder=tmp_path
    )
    assert code == 64
    assert "5 clients, and 3 keys of " in said


@pytest.mark.alone
@pytest.mark.slow
def test_a_probe_uses_each_key_once(
    api: Callable[[str], str], keys: Callable[[int], Path], tmp_path: Path
) -> None:
    url, words = api("exact"), ("--key", "header:Authorization", "--keys", keys(200))
    code, said = rateproof("probe", url, *words, "--json", folder=tmp_path)
    assert code in {0, 2}, said
    assert json.loads(said.partition("\n")[0])["statuses"].keys() <= {"200", "404", "429"}
    assert SECRET not in said


def test_a_probe_says_that_there_are_too_few_keys(
    api: Callable[[str], str], keys: Callable[[int], Path], tmp_path: Path
) -> None:
    url, words = api("exact"), ("--key", "header:Authorization", "--keys", keys(1))
    code, said = rateproof("probe", url, *words, folder=tmp_path)
    assert code == 64
    assert "1 key of " in said
    assert "for a probe" in said
