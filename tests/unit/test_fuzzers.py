"""Fuzzers build modules of a crate outside its workspace, with dependencies of their own."""

import re
import tomllib
from pathlib import Path

import pytest

RUST = Path(__file__).parents[2] / "rust"
FUZZERS = sorted(RUST.glob("*/fuzz/src/*.rs"))


def dependencies(folder):
    return set(tomllib.loads((folder / "Cargo.toml").read_text())["dependencies"])


@pytest.mark.parametrize("source", FUZZERS, ids=lambda path: path.stem)
def test_a_fuzzer_has_every_crate_that_its_modules_use(source):
    fuzz = source.parents[1]
    modules = re.findall(r'#\[path = "(.+)"\]', source.read_text())
    text = "".join((source.parent / module).read_text() for module in modules)
    used = {name for name in dependencies(fuzz.parent) if f"{name.replace('-', '_')}::" in text}
    assert used <= dependencies(fuzz)
