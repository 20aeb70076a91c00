"""Build a manylinux wheel and a source distribution of what git tracks here.

Two builds of one commit are the same bytes, wherever they are built by the same tools: times are
the commit's, files are sorted, no path of the machine is inside. Nothing but the registries is
needed: zig, which links against a libc as old as Rust knows, is a package of the group `build`.
"""

import argparse
import gzip
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parent.parent
TARGET: Final = "x86_64-unknown-linux-gnu"
GLIBC: Final = "2.17"
"""The oldest that Rust's own library works with."""

TAG: Final = f"manylinux_{GLIBC.replace('.', '_')}_x86_64"
NATIVE: Final = "rateproof/_native.abi3.so"
SERVICE: Final = "rateproof/bin/rateproof-service"


def tracked(*others: str) -> list[str]:
    """The files that git tracks; given `-o --exclude-standard`, those that it does not."""
    command = ["git", "ls-files", "-z", *others]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return list(filter(None, listed.stdout.decode().split("\0")))


def commit_time() -> int:
    """SOURCE_DATE_EPOCH: https://reproducible-builds.org/specs/source-date-epoch/."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    told = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, check=True
    )
    return int(told.stdout)


def built(what: str, source: Path, out: Path, environment: dict[str, str]) -> Path:
    """Have the build backend build in a folder; returns the file.

    Ends the program where it cannot, or where the native core, which is optional, fails.
    """
    options = {"--build-option": [f"--plat-name={TAG}"]} if what == "wheel" else {}
    call = f"import setuptools.build_meta as b; b.build_{what}({str(out)!r}, {options!r})"
    done = subprocess.run(
        [sys.executable, "-c", call],
        cwd=source,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    files = list(out.iterdir())
    if done.returncode or not files:
        sys.exit(f"{done.stdout}\nwheel: the {what} could not be built")
    if what == "wheel" and NATIVE not in zipfile.ZipFile(files[0]).namelist():
        sys.exit(f"{done.stdout}\nwheel: the native core could not be built")
    return files[0]


def made_plain(sdist: Path, epoch: int) -> None:
    """Write an archive again: sorted, of nobody, and of one time."""
    raw = io.BytesIO()
    with tarfile.open(sdist) as old, tarfile.open(fileobj=raw, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & stat.S_IXUSR else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with sdist.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch) as packed:
        packed.write(raw.getvalue())


def written_now(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """A member as the filter `data` has it, of the time of its extraction.

    Cargo compiles what is newer than what it has: a commit's time is older than any build.
    """
    return tarfile.data_filter(member, folder).replace(mtime=None, deep=False)  # type: ignore[arg-type]


def linker(folder: Path) -> Path:
    """A program that links, and compiles C, for the old libc."""
    path = folder / "zig-cc"
    path.parent.mkdir(parents=True, exist_ok=True)
    target = f"x86_64-linux-gnu.{GLIBC}"
    path.write_text(f'#!/bin/sh\nexec cargo-zigbuild zig cc -- -target {target} "$@"\n')
    path.chmod(0o755)
    return path


def for_cargo(target_folder: Path, epoch: int) -> dict[str, str]:
    """The environment in which cargo builds: stripped, for the old libc, without our paths."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    crates = f"{home}/registry/src=crates"
    zig = str(linker(target_folder))
    name = TARGET.replace("-", "_")
    return {
        "CARGO_PROFILE_RELEASE_STRIP": "symbols",
        **os.environ,
        "CARGO_BUILD_TARGET": TARGET,
        "CARGO_TARGET_DIR": str(target_folder),
        f"CARGO_TARGET_{name.upper()}_LINKER": zig,
        f"CC_{name}": zig,
        f"CFLAGS_{name}": f"-fno-sanitize=all -ffile-prefix-map={crates}",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "RUSTFLAGS": f"--remap-path-prefix={crates}",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def with_service(source: Path, target_folder: Path, environment: dict[str, str]) -> None:
    """Build the program of the service into the package."""
    command = [
        "cargo",
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--package",
        "rateproof-service",
    ]
    subprocess.run(command, cwd=source / "rust", env=environment, check=True)
    program = source / "src" / SERVICE
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(target_folder / TARGET / "release" / program.name, program)


def examined(wheel: Path, paths: list[Path]) -> str:
    """The words of auditwheel on the wheel; ends the program where it is not what was wanted."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    for name, data in held.items():
        for path in paths:
            if str(path).encode() in data:
                sys.exit(f"wheel: {name} has a path of this machine in it: {path}")
    told = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", wheel],
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join((told.stdout + told.stderr).split())
    if f'platform tag: "{TAG}"' not in said:
        sys.exit(f"wheel: it is no {TAG}: {said}")
    return said


def build(out: Path, target_folder: Path) -> tuple[Path, Path]:
    """Build both; returns where they are, the wheel first."""
    os.umask(0o022)
    epoch = commit_time()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rateproof-wheel-") as scratch:
        clone, fresh = Path(scratch, "clone"), Path(scratch, "fresh")
        for name in tracked():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
        for folder in (sdist_out := Path(scratch, "sdist"), wheel_out := Path(scratch, "wheel")):
            folder.mkdir()
        environment = for_cargo(target_folder, epoch)
        sdist = built("sdist", clone, sdist_out, environment)
        made_plain(sdist, epoch)
        # From the source distribution, which so has everything that a build needs.
        with tarfile.open(sdist) as archive:
            archive.extractall(fresh, filter=written_now)
        (source,) = fresh.iterdir()
        with_service(source, target_folder, environment)
        wheel = built("wheel", source, wheel_out, environment)
        print(examined(wheel, [Path(scratch), ROOT, Path.home()]))
        return tuple(Path(shutil.copy(each, out / each.name)) for each in (wheel, sdist))


def main() -> None:
    """Build, and say what was built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where they go")
    parser.add_argument(
        "--target-dir",
        type=Path,
        default=ROOT / "rust/target/wheel",
        help="where cargo keeps what it has compiled",
    )
    arguments = parser.parse_args()
    for name in tracked("-o", "--exclude-standard"):
        print(f"wheel: without {name}, which git does not track")
    for file in build(arguments.out.resolve(), arguments.target_dir.resolve()):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
