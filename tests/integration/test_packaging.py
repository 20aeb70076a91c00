"""Installing: with Rust the native core, without it the reference core, and never a failure."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PROGRAM = """
from rateproof import Limiter
limiter = Limiter("5 per 5s")
print([limiter.hit("a").admitted for _ in range(6)])
"""


@pytest.fixture
def environment(tmp_path):
    """An empty virtual environment; returns its python."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    return tmp_path / "env/bin/python"


def without(program: str) -> dict[str, str]:
    """This process's environment, with no such program on its path."""
    folders = os.environ["PATH"].split(os.pathsep)
    kept = [folder for folder in folders if not (Path(folder) / program).exists()]
    return os.environ | {"PATH": os.pathsep.join(kept)}


# The same wheel, compiled in a third of the time: `make env` compiles the one that is quick.
QUICKLY = os.environ | {
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
}


def run(*command, env=None, cwd=None):
    done = subprocess.run(
        [str(part) for part in command],
        env={k: v for k, v in (env or os.environ).items() if k != "RATEPROOF_CORE"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_rust_it_installs_and_limits_on_the_reference_core(clone, environment, tmp_path):
    hidden = without("cargo")
    assert shutil.which("cargo", path=hidden["PATH"]) is None
    run(environment, "-m", "pip", "install", "--quiet", clone, env=hidden)
    command = environment.parent / "rateproof"
    assert run(command, "--version", cwd=tmp_path).strip().endswith("(python core)")
    admitted = run(environment, "-c", PROGRAM, cwd=tmp_path)
    assert admitted.strip() == str([True] * 5 + [False])


def test_the_wheel_carries_types_and_the_native_core(clone, environment, tmp_path):
    wheel = ("pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, clone)
    run(sys.executable, "-m", *wheel, env=QUICKLY)
    (wheel,) = tmp_path.glob("rateproof-*.whl")
    assert "-cp311-abi3-" in wheel.name, "one wheel for every Python from 3.11 on"
    names = zipfile.ZipFile(wheel).namelist()
    assert "rateproof/py.typed" in names
    assert "rateproof/_native.pyi" in names
    for asset in ("page.html", "page.css", "page.js"):
        assert f"rateproof/hunt/report/assets/{asset}" in names
    assert not [name for name in names if name.startswith("tests")]
    run(environment, "-m", "pip", "install", "--quiet", wheel)
    assert "(native core)" in run(environment, "-m", "rateproof", "--version", cwd=tmp_path)
    admitted = run(environment, "-c", PROGRAM, cwd=tmp_path)
    assert admitted.strip() == str([True] * 5 + [False])
    installed = run(environment, "-m", "pip", "list", "--format", "freeze", cwd=tmp_path)
    others = {line.partition("==")[0] for line in installed.split()} - {"pip", "setuptools"}
    assert others == {"rateproof"}, "the bare library needs nothing"
