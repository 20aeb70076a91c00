"""`rateproof check --memory`: a check that was killed goes on where it was."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from rateproof.checking import command as checking
from rateproof.events import pieces as pieces_module
from rateproof.events import splitter
from rateproof.events import workplace as workplaces
from rateproof.events.workplace import Workplace, identity_of, workplace
from rateproof.folders import scratch
from rateproof.prove import judge
from rateproof.prove import pieces as surveying
from rateproof.prove.keys import Counts
from rateproof.prove.pieces import survey_piece
from tests.samples import quick_first
from tests.unit.check_pieces.pieces import MEMORY, killed_meanwhile

KILLED = """
import os, signal, sys
from rateproof import cli, linux
from rateproof.checking import command as checking
checking.judge = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
cli.main(["check", *sys.argv[1:]])
"""


def test_a_check_that_is_killed_goes_on_with_the_pieces_it_had(check, log, tmp_path):
    words = [sys.executable, "-c", KILLED, str(log), *MEMORY]
    killed = subprocess.run(words, check=False, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    pieces = sorted(left.glob("*.parquet"))
    before = [(piece, piece.stat().st_mtime_ns) for piece in pieces]
    seen = []

    def judged(*given, **named):
        seen.extend((piece, piece.stat().st_mtime_ns) for piece in pieces)
        return judge(*given, **named)

    less = splitter._left(Workplace(left), 183_000_000, print)
    assert less is None, "a piece would not fit"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "judge", judged)
        code, out, err = check(log, "--json", *MEMORY)
    assert seen == before, "they were split again"
    assert "200,406 requests are in 5 pieces" in err
    assert "it goes on there" in err
    assert (code, out) == check(log, "--json", "--memory", "10GB")[:2]


@pytest.fixture
def surveyed(monkeypatch):
    """The numbers of the pieces that are judged in this process."""
    survey, numbers = survey_piece, []

    def noted(pieces, number, **named):
        numbers.append(number)
        return survey(pieces, number, **named)

    monkeypatch.setattr(surveying, "survey_piece", noted)
    return numbers


@pytest.mark.parametrize("kind", quick_first(["log", "lines"]))
def test_a_piece_that_was_judged_before_the_kill_is_not_judged_again(
    check, kind, tmp_path, surveyed, request, monkeypatch
):
    path = request.getfixturevalue(kind)
    killed_meanwhile(path, tmp_path)
    progress, totals = pieces_module.Progress, []
    monkeypatch.setattr(
        pieces_module, "Progress", lambda *of: totals.append(of[:2]) or progress(*of)
    )
    code, out, err = check(path, "--json", *MEMORY)
    assert surveyed == [2, 3, 4]
    assert "2 of 5 pieces were judged by then\n" in err
    (total,) = (rows for what, rows in totals if what == "judging")
    assert 100_000 < total < 150_000, "the time that is left is that of three pieces"
    assert (code, out) == check(path, "--json", "--memory", "10GB")[:2]
    assert ("already, from a check that was killed\n" in err) == (kind == "lines")


def test_results_of_pieces_that_are_no_longer_there_are_not_used(check, log, tmp_path, surveyed):
    killed_meanwhile(log, tmp_path)
    found = check(log, "--json", "--memory", "184MB")
    assert "it goes on there" not in found[1], "the pieces are others in less memory"
    assert surveyed == list(range(len(surveyed)))
    assert found[:2] == check(log, "--json", "--memory", "10GB")[:2]


def test_a_result_of_another_question_or_a_damaged_one_is_not_used(check, log, tmp_path, surveyed):
    killed_meanwhile(log, tmp_path)
    (left,) = tmp_path.iterdir()
    first, _ = sorted(left.glob("*-[01]"), key=lambda path: path.name[-1])
    stored = first.read_bytes()
    first.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
    kept = shutil.copytree(left, tmp_path.with_name(f"{tmp_path.name}-kept") / left.name)
    check(log, *MEMORY)
    assert surveyed == [0, 2, 3, 4]
    surveyed.clear()
    shutil.copytree(kept, left, copy_function=shutil.copy2)
    assert "judged by then" not in check(log, "--policy", "6 per 5s", *MEMORY)[2]
    assert surveyed == [0, 1, 2, 3, 4]


def test_what_takes_the_whole_log_is_refused_of_pieces_that_were_left_too(check, log, tmp_path):
    killed_meanwhile(log, tmp_path)
    code, _, err = check(log, "--by-key", *MEMORY)
    assert (code, "--by-key with a log that does not fit in memory" in err) == (64, True)
    code, _, err = check(log, "--json", *MEMORY)
    assert (code, "it goes on there" in err) == (1, True), "they are still there"


def test_what_is_noted_holds_while_its_files_are_as_they_were(tmp_path):
    place, piece = Workplace(tmp_path), tmp_path / "2.parquet"
    assert place.noted() is None
    piece.write_bytes(b"rows")
    place.note([piece], {"rows": 1})
    assert place.noted() == {"rows": 1}
    piece.write_bytes(b"row")
    assert place.noted() is None
    piece.unlink()
    assert place.noted() is None


def test_a_file_that_was_made_before_the_kill_is_not_made_again(tmp_path):
    place, made = Workplace(tmp_path), []

    def make(path):
        made.append(path)
        path.write_bytes(b"rows")

    assert [place.made(make), place.made(make)] == [tmp_path / "log.parquet"] * 2
    assert len(made) == 1
    made[0].write_bytes(b"row")
    place.made(make)
    assert len(made) == 2, "it was not as it had been"


class Planted:
    def __reduce__(self):
        return print, ("planted",)


def test_what_is_kept_runs_nothing_that_somebody_planted_there(tmp_path, capsys):
    place = Workplace(tmp_path)
    for number, result in enumerate((Planted(), [Planted()], Workplace, identity_of)):
        place.keep(str(number), result)
        assert place.kept(str(number)) is None
    assert capsys.readouterr().out == ""
    place.keep("survey", [Counts(keys=1), b"key", (1, None)])
    assert place.kept("survey") == [Counts(keys=1), b"key", (1, None)]


def test_another_log_setting_or_program_is_another_work(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    path.write_bytes(b"rows")
    first = identity_of(path, "403")
    assert identity_of(path, "403") == first
    assert identity_of(path, "429") != first
    monkeypatch.setattr(workplaces, "_code", lambda: ["another"])
    assert identity_of(path, "403") != first
    monkeypatch.undo()
    assert identity_of(path, "403") == first
    os.utime(path, (1, 1))
    assert identity_of(path, "403") != first


def test_a_folder_that_another_process_has_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with workplace("a" * 64) as one:
        with workplace("a" * 64) as other:
            assert one.folder != other.folder
        assert one.folder.exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_others_may_write_to_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"rateproof-{'a' * 16}"
    planted.mkdir()
    planted.chmod(0o777)
    with workplace("a" * 64) as place:
        assert place.folder != planted
    assert list(tmp_path.iterdir()) == [planted]


HOLDER = """
import os, signal
from rateproof.folders import scratch
with scratch() as folder:
    (folder / "rows").write_bytes(b"rows")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_of_a_process_that_was_killed_goes_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch() as used:
        subprocess.run(
            [sys.executable, "-c", HOLDER], check=False, env=os.environ | {"TMPDIR": str(tmp_path)}
        )
        (left,) = set(tmp_path.iterdir()) - {used}
        assert (left / "rows").exists()
        with scratch() as own:
            assert set(tmp_path.iterdir()) == {used, own}
    assert not list(tmp_path.iterdir())
