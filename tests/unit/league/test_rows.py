"""Every row says what it must, and its files are there."""

import re
import sys
from pathlib import Path

import pytest

import league
from league import __main__ as command
from league.installed import APPS
from league.limiters import ROWS
from league.row import Place, Truth

PLACE_PORTS = 40001, 40002


def test_a_league_in_which_nothing_was_run_is_no_success(monkeypatch, capsys):
    """A mistyped name would be a pass for nothing, and so would programs that are all missing."""
    monkeypatch.setattr(command, "prepare", lambda: None)
    with pytest.raises(SystemExit, match="2"):
        command.main(["--only", "Flask", "flsk"])
    assert "no row has 'flsk' in its name" in capsys.readouterr().err
    monkeypatch.setattr(command.shutil, "which", lambda _: None)
    assert command.main(["--only", "nginx"]) == 1


def test_names_are_unique_and_fit_into_a_table():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert not any("|" in row.name + row.why for row in ROWS)


def test_there_are_limiters_of_every_truth_and_forty_of_one_that_is_known():
    assert {row.truth for row in ROWS} == set(Truth)
    assert sum(row.truth is not Truth.EITHER for row in ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_truth_and_its_worst_case_agree(row):
    """Only what admits more than 5 can violate "5 in any 5 s"."""
    if row.worst is not None:
        assert (row.worst > 5) == (row.truth is not Truth.NO)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_last_command_listens_on_the_port_of_its_place(row, tmp_path):
    commands = row.commands(Place(*PLACE_PORTS, tmp_path))
    files = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "40001" in " ".join(commands[-1]) + files
    assert all(isinstance(word, str) for command in commands for word in command)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_application_of_a_row_is_there(row, tmp_path):
    command = row.commands(Place(*PLACE_PORTS, tmp_path))[-1]
    for module in re.findall(r"(\w+_app):", " ".join(command)):
        assert (APPS / f"{module}.py").is_file()
    for script in re.findall(r"\S+\.js", " ".join(command)):
        assert Path(script).is_file()


def test_versions_are_pinned_and_name_no_registry():
    for line in (APPS.parent / "requirements.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line)
    assert "://" not in (APPS / "node" / "package.json").read_text()


def test_the_league_imports_nothing_that_it_judges():
    folder = Path(league.__file__).parent
    driver = [file for file in folder.rglob("*.py") if APPS not in file.parents]
    imported = set()
    for file in driver:
        imported |= set(re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE))
    foreign = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("league")} == {"rateproof"}
