"""A log that grows, and its rotations."""

import gzip

import pytest

from rateproof.errors import LogError
from rateproof.events.access_logs.tail import ROTATED, TRUNCATED, Tail


class Clock:
    """Seconds that a test turns on."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b"one\n")
    return path


def append(path, text):
    with path.open("ab") as file:
        file.write(text)


def test_what_is_there_is_read_and_then_what_comes(path):
    tail = Tail(str(path))
    assert (tail.read(), tail.read(), tail.turned()) == (b"one\n", b"", "")
    append(path, b"two\n")
    assert tail.read() == b"two\n"


def test_a_renamed_file_is_read_until_it_has_been_quiet_for_two_seconds(path):
    clock = Clock()
    tail = Tail(str(path), clock)
    assert tail.read() == b"one\n"
    old = path.rename(path.with_suffix(".1"))
    assert tail.turned() == ""
    path.write_bytes(b"new\n")
    assert tail.turned() == ""
    append(old, b"late\n")
    clock.now_s = 1.9
    assert (tail.read(), tail.read(), tail.turned()) == (b"late\n", b"", "")
    clock.now_s = 3.8
    assert (tail.read(), tail.turned()) == (b"", "")
    clock.now_s = 4.0
    assert (tail.read(), tail.turned()) == (b"", ROTATED)
    assert tail.read() == b"new\n"
    assert tail.rotations == 1


@pytest.mark.parametrize("grown", [b"", b"n\n", b"new\n", b"a longer one\n"])
def test_a_file_that_was_cut_off_is_read_anew_however_far_it_has_grown(grown, path):
    tail = Tail(str(path))
    assert (tail.read(), tail.read()) == (b"one\n", b"")
    path.write_bytes(grown)
    assert (tail.read(), tail.turned()) == (b"", TRUNCATED)
    assert tail.read() == grown


def test_what_cannot_be_followed_is_refused(tmp_path):
    with pytest.raises(LogError, match=r"cannot read .*: No such file"):
        Tail(str(tmp_path / "none"))
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(LogError, match="is compressed"):
        Tail(str(tmp_path / "a.gz"))
