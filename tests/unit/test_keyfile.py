"""A file of keys: every line counts once, and no message ever shows one."""

import time
from pathlib import Path

import pytest

from rateproof.errors import InvalidArgument
from rateproof.keyfile import KeyFile


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


@pytest.mark.alone
def test_a_million_keys_are_read_within_a_second(tmp_path: Path) -> None:
    data = b"".join(b"Bearer %030d\r\n" % n for n in range(1_000_000))
    (tmp_path / "keys.txt").write_bytes(data)
    took_s = []
    for _ in range(2):
        began_s = time.process_time()
        keys = KeyFile.read(str(tmp_path / "keys.txt"))
        took_s.append(time.process_time() - began_s)
        assert len(keys.keys) == 1_000_000
    assert min(took_s) < 1
