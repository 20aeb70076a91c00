"""A file of keys: every line counts once, and no message ever shows one."""

import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from rateproof import keyfile
from rateproof.errors import InvalidArgument
from rateproof.keyfile import KeyFile

if TYPE_CHECKING:
    from _typeshed import TraceFunction


def read(folder: Path, data: bytes) -> KeyFile:
    (folder / "keys.txt").write_bytes(data)
    return KeyFile.read(str(folder / "keys.txt"))


@pytest.mark.parametrize(
    "data",
    [
        b"one\ntwo\n",
        b"one\r\ntwo\r\n",
        b"one\r\ntwo\r",
        b"\xef\xbb\xbfone\ntwo",
        b"\n one\t\n\n  \ntwo \n\n",
    ],
)
def test_ends_of_lines_blanks_and_a_bom_are_no_part_of_a_key(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data).keys == (b"one", b"two")


def test_a_single_key_is_a_file_of_keys(tmp_path: Path) -> None:
    assert read(tmp_path, "schl\u00fcssel".encode()).keys == ("schl\u00fcssel".encode(),)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "has no key"),
        (b"\xef\xbb\xbf\r\n \n", "has no key"),
        (b"s3cret\nb\0s3cret\n", "line 2 .* control character"),
        (b"a\rs3cret\nb\n", "line 1 .* control character"),
        (b"a\n\tb\n a\ts3cret\n", "line 3 .* control character"),
        (b"a\n\n\xffs3cret\n", "line 3 .* is not UTF-8"),
        (b"s3cret\nb\n s3cret \n", "line 3 .* has the key of line 1 again"),
        (b"a\n" + b"s3cret" * 1_000, "line 2 .* has 6,000 bytes"),
        ("\n".join(map(str, range(1_000_001))).encode(), "has 1,000,001 keys"),
    ],
)
def test_what_is_no_key_is_named_by_its_line_and_never_shown(
    tmp_path: Path, data: bytes, what: str
) -> None:
    with pytest.raises(InvalidArgument, match=what) as caught:
        read(tmp_path, data)
    assert "s3cret" not in str(caught.value)
    assert "keys.txt" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), str(tmp_path), "a\0b"):
        with pytest.raises(InvalidArgument, match="cannot read"):
            KeyFile.read(name)


def test_keys_are_not_in_what_is_shown_of_them(tmp_path: Path) -> None:
    keys = read(tmp_path, b"s3cret\n")
    assert "s3cret" not in f"{keys} {keys!r}"
    assert str(keys).startswith("1 key of ")


def steps(folder: Path, count: int) -> int:
    """Instructions of the interpreter within the module while it reads that many keys."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> "TraceFunction | None":
        nonlocal steps
        if frame.f_code.co_filename != keyfile.__file__:
            return None
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    (folder / "keys.txt").write_bytes(b"".join(b"Bearer %030d\r\n" % n for n in range(count)))
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        keys = KeyFile.read(str(folder / "keys.txt"))
    finally:
        sys.settrace(before)
    assert len(keys.keys) == count
    return steps


def test_a_million_keys_cost_the_interpreter_no_more_steps_than_ten(tmp_path: Path) -> None:
    assert 0 < steps(tmp_path, 1_000_000) == steps(tmp_path, 10)
