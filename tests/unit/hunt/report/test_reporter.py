"""Files are whole or not there."""

import stat
from pathlib import Path

import pytest

from rateproof.errors import CannotWrite
from rateproof.hunt.report.reporter import write_whole


def test_the_new_text_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "report"
    for text in ("old and longer", "new é"):
        write_whole(path, text)
        assert path.read_text("utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_a_reader_of_the_old_one_keeps_it(tmp_path):
    path = tmp_path / "report"
    write_whole(path, "old")
    with path.open() as reader:
        write_whole(path, "new")
        assert reader.read() == "old"


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "report"
    write_whole(path, "old")

    def full(_self, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(CannotWrite, match=r"cannot write .*report: No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_its_folder_is_made(tmp_path):
    write_whole(tmp_path / "a" / "b" / "report", "text")
    assert (tmp_path / "a" / "b" / "report").read_text() == "text"


@pytest.mark.parametrize("name", ["file/report", "."])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="cannot write"):
        write_whole(tmp_path / name, "text")


@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_a_name_that_leads_nowhere_cannot_be_written(tmp_path, name):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(CannotWrite, match="cannot write"):
        write_whole(tmp_path / name, "text")


def test_a_name_that_is_no_utf_8_is_shown_escaped(tmp_path):
    write_whole(tmp_path / "r\udcff", "of log\udcff")
    assert (tmp_path / "r\udcff").read_text("utf-8") == "of log\\udcff"


def test_a_device_is_never_replaced_by_a_file(tmp_path):
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    with pytest.raises(CannotWrite, match="not a regular file"):
        write_whole(device, "text")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"
