"""Access logs of several files: which are meant, in what order, of how many hosts, and bad ones."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from rateproof.cli import main
from rateproof.errors import LogError
from rateproof.events.access_logs import (
    CLOCK_LAG_NS,
    Reading,
    named,
    read_access_log,
    read_access_logs,
)
from rateproof.events.access_logs.rotation import pieces_of
from tests.access_lines import BEGIN_NS, SECOND, line

NGINX = Reading(format=named("nginx"))


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


def stamps(log):
    """Of logs whose stamps are those of the end, with 5 s for the longest request."""
    return [(sent + CLOCK_LAG_NS - BEGIN_NS) // SECOND + 5 for sent in log.ints("sent_ns")]


def rotated(folder):
    """Three files of a rotation: 0 to 9, 10 to 19 and 20 to 29 s; the last is written to."""
    texts = [b"".join(map(line, range(10 * at, 10 * at + 10))) for at in range(3)]
    names = ["access.log.2.gz", "access.log.1", "access.log"]
    for name, text in zip(names, [gzip.compress(texts[0]), *texts[1:]], strict=True):
        (folder / name).write_bytes(text)
    return [str(folder / name) for name in names]


def test_files_of_a_rotation_are_read_in_the_order_of_their_stamps(tmp_path, capsys):
    oldest, older, newest = rotated(tmp_path)
    for names in (
        [newest, older, oldest],
        [str(tmp_path / "access.log*")],
        [older, oldest, newest],
    ):
        log = read_access_logs(names, NGINX)
        assert stamps(log) == list(range(30))
        assert log.ints("sequence")[29] == 30
        assert f"3 files in this order: {oldest}, {older}, {newest}" in capsys.readouterr().err


def test_names_decide_where_stamps_are_equal(tmp_path):
    for number in (10, 9, 2):
        (tmp_path / f"a.log.{number}").write_bytes(line(0, ip=f"192.0.2.{number}"))
    log = read_access_logs([str(tmp_path / "a.log.*")], NGINX)
    assert [event.key for event in log] == [b"192.0.2.10", b"192.0.2.9", b"192.0.2.2"]


def test_check_takes_several_files_and_finds_what_no_single_one_has(tmp_path, capsys):
    for at, name in enumerate(["b.log", "a.log"]):
        (tmp_path / name).write_bytes(b"".join(map(line, (10 * at, 10 * at + 1))))
    names = [str(tmp_path / name) for name in ("a.log", "b.log")]
    asked = ["--policy", "3 per 1m", "--format", "nginx"]
    assert main(["check", names[0], *asked]) == 2
    assert main(["check", *names, *asked]) == 1
    assert "VIOLATED: 4 let through in 1 m" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "*.log"), *asked, "--json"]) == 1


def test_a_message_names_the_line_of_its_file(tmp_path):
    _, older, newest = rotated(tmp_path)
    with Path(older).open("ab") as file:
        file.write(b"nonsense\n")
    with pytest.raises(LogError, match=r"line 11 of .*access.log.1: 'nonsense'"):
        read_access_logs([older, newest], NGINX)


def test_a_log_that_zstd_compressed_is_read_as_it_is(tmp_path, capsys, monkeypatch):
    path, text = tmp_path / "access.log.zst", b"".join(map(line, range(20)))
    path.write_bytes(zstd(text) + zstd(line(20)))
    assert stamps(read_access_logs([str(path)], NGINX)) == list(range(21))
    asked = ["check", str(path), "--policy", "3 per 1m", "--format", "nginx"]
    assert main(asked) == 1
    whole = path.read_bytes()
    for damaged in (whole[:-3], whole[:20] + b"x" * 50):
        path.write_bytes(damaged)
        capsys.readouterr()
        assert main(asked) == 65
        assert "damaged or cut off" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path.write_bytes(whole)
    assert main(asked) == 65
    assert "pip install 'rateproof[load]'" in capsys.readouterr().err


def test_standard_input_is_read_alone(tmp_path, capsys):
    text = b"".join(map(line, (0, 1, 2, 3)))
    command = [sys.executable, "-m", "rateproof", "check", "-", "--policy", "3 per 1m"]
    told = subprocess.run(command, input=gzip.compress(text), capture_output=True, check=False)
    assert told.returncode == 1
    assert b"VIOLATED: 4 let through" in told.stdout
    assert main(["check", "-", str(tmp_path / "a.log")]) == 64
    assert "standard input beside files" in capsys.readouterr().err


def test_a_pattern_that_no_file_fits_is_refused(tmp_path, capsys):
    assert main(["check", str(tmp_path / "*.log")]) == 64
    assert "no file fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no events"),
        (b"\n\n", "no events"),
        (gzip.compress(b"", mtime=0), "no events"),
        (b"x" * 20_000_000, "16 MB|of no known format"),
        (b"x" * 1_000_000 + b"\n", "of no known format"),
        (line(0) * 20 + b"192.0.2.1 [x] 200\n" * 20, "two formats in one file"),
        (line(0) + line(3600) + line(1800), "a clock that was set back"),
        (gzip.compress(line(0) * 1000, mtime=0)[:60], "damaged or cut off"),
    ],
)
def test_a_bad_file_is_refused_in_clear_words(content, problem, tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_bytes(content)
    for names in ([str(path)], [str(tmp_path / "access.*")]):
        assert main(["check", *names, "--policy", "3 per 1m"]) == 65
        out, err = capsys.readouterr()
        assert re.search(problem, err)
        assert not out
        assert len(err) < 2_000


def test_files_of_two_formats_are_refused(tmp_path, capsys):
    (tmp_path / "a.log").write_bytes(line(0))
    (tmp_path / "b.log").write_bytes(line(1).rstrip() + b' "-"\n')
    assert main(["check", str(tmp_path / "*.log")]) == 65
    assert "b.log is of the format nginx-main, and a file before it is combined" in (
        capsys.readouterr().err
    )


def test_lines_of_a_megabyte_are_read(tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(line(0, agent="x" * 1_000_000) + line(1, agent='\\"' * 500_000))
    assert stamps(read_access_logs([str(path)], NGINX)) == [0, 1]


@pytest.mark.parametrize("turn", ["grows", "renamed", "cut off"])
def test_a_file_that_changes_while_read_is_read_as_far_as_it_goes(
    turn, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("rateproof.events.lines._BLOCK", 1 << 18)
    path = tmp_path / "access.log"
    lines = [line(at // 100, path=f"/{at:06}") for at in range(9_000)]
    path.write_bytes(b"".join(lines[:8_000]))
    files = pieces_of([str(path)])
    name, pieces = next(files)

    def changing():
        for number, piece in enumerate(pieces):
            yield piece
            if number == 0 and turn == "grows":
                with path.open("ab") as file:
                    file.write(b"".join(lines[8_000:])[:-9])
            elif number == 0 and turn == "renamed":
                path.rename(path.with_suffix(".1"))
                path.write_bytes(lines[8_500])
            elif number == 0:
                path.write_bytes(b"")

    log = read_access_log(changing(), name, NGINX)
    rows = list(log.ints("sequence"))
    assert rows == list(range(1, len(rows) + 1))
    whole = turn == "renamed"
    assert len(rows) == (8_000 if whole else 8_999) or (
        turn == "cut off" and 2_000 < len(rows) < 5_000
    )
    assert ("ends within a line" in capsys.readouterr().err) is not whole


def test_hosts_whose_clocks_are_off_widen_the_intervals_and_are_named(tmp_path, capsys):
    for host in "ab":
        (tmp_path / host).mkdir()
        first = line(0, ip="192.0.2.1", path=f"/{host}")
        (tmp_path / host / "access.log.1").write_bytes(first + line(10))
        (tmp_path / host / "access.log").write_bytes(line(20) + line(100, path=f"/{host}"))
    names = [str(tmp_path / "*" / "access.log*")]
    with pytest.raises(LogError, match="--skew"):
        read_access_logs(names, NGINX)
    skew_ns = SECOND // 20
    log = read_access_logs(names, Reading(format=named("nginx"), skew_ns=skew_ns))
    assert len(log) == 8
    first = log[0]
    assert first.received_ns == BEGIN_NS + SECOND - 1 + CLOCK_LAG_NS + skew_ns
    assert first.sent_ns == BEGIN_NS - 5 * SECOND - CLOCK_LAG_NS - skew_ns
    since_ns, until_ns = log.metadata["complete_ns"]
    assert since_ns == first.received_ns
    assert until_ns == BEGIN_NS + 95 * SECOND - CLOCK_LAG_NS - skew_ns
    asked = ["check", *names, "--policy", "7 per 1m", "--format", "nginx", "--skew", "50ms"]
    assert main(asked) == 2
    assert main([*asked[:2], "--policy", "5 per 1m", *asked[4:]]) == 1
    out = capsys.readouterr().out
    assert "no clock of a host was over 50ms off the limiter's (--skew)" in out


def test_a_log_that_is_there_twice_is_not_that_of_two_hosts(tmp_path, capsys):
    """Five requests, copied, would be ten."""
    paths = [tmp_path / name for name in ("access.log", "copy.log", "other.log", "empty.log")]
    text = b"".join(map(line, range(5)))
    for path, content in zip(paths, [text, text, text.replace(b"GET", b"PUT"), b""], strict=True):
        path.write_bytes(content)
    asked = ["--policy", "5 per 1m", "--format", "nginx", "--skew", "5ms"]
    for verb in ("check", "plan"):
        assert main([verb, *map(str, paths[:2]), *asked]) == 65
        out, err = capsys.readouterr()
        assert out == ""
        assert f"{paths[1]} holds the same as {paths[0]}" in err
    assert main(["check", str(paths[0]), str(paths[2]), *asked]) == 1
