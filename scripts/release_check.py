"""Check what `make wheel` built: changelog, contents, and what the package index will show."""

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))

import build_wheel as building  # noqa: E402 - it lies beside this file

from rateproof import __version__  # noqa: E402

OF_THE_REPOSITORY = (".ci/run", ".gitignore")
"""Files that git tracks and nobody else needs."""

EGG = "src/rateproof.egg-info/"


def differences(what: str, found: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Sentences on what an archive lacks, and on what it should not have."""
    there, expected = set(found), set(wanted)
    lacking = [f"{what} lacks {name}" for name in sorted(expected - there)]
    return lacking + [
        f"{what} has {name}, which is not wanted" for name in sorted(there - expected)
    ]


def of_changelog() -> list[str]:
    """Problems of the changelog."""
    text = (ROOT / "CHANGELOG.md").read_text()
    heading = re.search(rf"^## {re.escape(__version__)}, (.+)$", text, re.MULTILINE)
    if heading is None:
        return [f"CHANGELOG.md says nothing of {__version__}"]
    print(f"CHANGELOG.md: {__version__}, {heading[1]}")
    return []


def of_sdist(path: Path) -> list[str]:
    """Problems of a source distribution: it is what git tracks."""
    with tarfile.open(path) as archive:
        names = [member.name.partition("/")[2] for member in archive if member.isfile()]
    found = [name for name in names if not name.startswith(EGG) and name != "PKG-INFO"]
    return differences(path.name, found, set(building.tracked()) - {*OF_THE_REPOSITORY})


def of_wheel(path: Path) -> list[str]:
    """Problems of a wheel: it is the package, and the native core."""
    package = [name[4:] for name in building.tracked() if name.startswith("src/rateproof/")]
    about = f"rateproof-{__version__}.dist-info"
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if not name.startswith(about)]
        size = sum(each.file_size for each in archive.infolist())
    print(f"{path.name}: {size / 1e6:.1f} MB installed")
    heavy = [f"{path.name}: more than 20 MB installed"] if size > 20_000_000 else []
    return heavy + differences(path.name, found, [*package, building.NATIVE, building.SERVICE])


def main() -> int:
    """Print each problem; 0 if there are none."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    wheels = sorted(folder.glob(f"rateproof-{__version__}-*{building.TAG}.whl"))
    sdists = sorted(folder.glob(f"rateproof-{__version__}.tar.gz"))
    if not (wheels and sdists):
        print(f"{folder} has no wheel and sdist of {__version__}: make wheel")
        return 1
    problems = [*of_changelog(), *of_sdist(sdists[0]), *of_wheel(wheels[0])]
    for problem in problems:
        print(problem)
    twine = [sys.executable, "-m", "twine", "check", "--strict", wheels[0], sdists[0]]
    return subprocess.call(twine) or int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
