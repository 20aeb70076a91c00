"""The package's face: what it exports, and that exporting costs nothing."""

import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import rateproof
from rateproof import errors, testing

ROOT = Path(__file__).parent.parent.parent


def test_all_is_sorted_and_is_what_is_exported():
    assert list(rateproof.__all__) == sorted(rateproof.__all__)
    assert set(rateproof.__all__) == {*rateproof._HOME_OF, "__version__"}
    public = {name for name in dir(rateproof) if name[0].isupper()}
    assert public - {"TYPE_CHECKING"} == {n for n in rateproof.__all__ if n[0].isupper()}


@pytest.mark.parametrize("name", rateproof.__all__)
def test_every_name_leads_to_the_thing_of_that_name(name):
    thing = getattr(rateproof, name)
    if name != "__version__":
        assert thing.__name__ == name
        home = importlib.import_module(rateproof._HOME_OF[name])
        assert name in home.__all__
        assert getattr(home, name) is thing


def test_every_error_can_be_caught_by_its_name():
    assert set(errors.__all__) < set(rateproof.__all__)


def test_every_name_for_tests_is_there():
    assert list(testing.__all__) == sorted(testing.__all__)
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'StoreAgreemnt'"):
        _ = testing.StoreAgreemnt


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Limeter'"):
        _ = rateproof.Limeter


def test_the_version_is_written_once_and_all_else_derives_from_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "rateproof.__version__"}
    assert rateproof.__version__ == version("rateproof"), "`make env` installs anew"
    crates = tomllib.loads((ROOT / "rust/Cargo.toml").read_text())["workspace"]
    assert "version" not in crates["package"], "no crate of ours has one that anybody sees"


def test_importing_loads_no_other_module_of_the_package():
    program = "import sys, rateproof; print(*(n for n in sys.modules if n[:9] == 'rateproof'))"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["rateproof"]
