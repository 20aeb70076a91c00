"""Installing: the wheel needs no compiler; a clone without Rust installs, too, on the plain core."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = """
from rateproof import Limiter
limiter = Limiter("5 per 5s")
print([limiter.hit("a").admitted for _ in range(6)])
"""

# The same wheel, compiled in a third of the time: `make wheel` compiles the one that is quick.
QUICKLY = {
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
}
WHENEVER = "2026-01-02T03:04:05+00:00"


def run(*command, env=None, cwd=None, code=0):
    done = subprocess.run(
        [str(part) for part in command],
        env={k: v for k, v in (env or os.environ).items() if k != "RATEPROOF_CORE"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def alone(python):
    """Variables under which nothing but one environment's programs is found."""
    return {"PATH": str(python.parent), "HOME": "/nowhere"}


def make_environment(folder):
    """An empty virtual environment; returns its python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin/python"


@pytest.fixture
def environment(tmp_path):
    return make_environment(tmp_path / "env")


def committed(clone, folder):
    """A repository with one commit, the same wherever it lies."""
    shutil.copytree(clone, folder)
    dated = {"GIT_AUTHOR_DATE": WHENEVER, "GIT_COMMITTER_DATE": WHENEVER}
    somebody = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*somebody, "commit", "-q", "-m", "all"]):
        run("git", *words, cwd=folder, env=os.environ | dated)
    return folder


def build(repository, out, target):
    """Build in a repository; returns the wheel and the sdist."""
    script = repository / "scripts/build_wheel.py"
    said = run(
        *(sys.executable, script, "--out", out, "--target-dir", target),
        env=os.environ | QUICKLY,
    )
    assert "manylinux_2_17_x86_64" in said
    (wheel,) = out.glob("*.whl")
    (sdist,) = out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(clone, tmp_path_factory):
    """A wheel and an sdist, as `make wheel` builds them, but compiled quickly."""
    folder = tmp_path_factory.mktemp("built")
    return build(committed(clone, folder / "a"), folder / "out", ROOT / "rust/target/wheel")


@pytest.fixture
def wheel(built):
    return built[0]


def test_without_rust_it_installs_and_limits_on_the_reference_core(clone, environment, tmp_path):
    folders = os.environ["PATH"].split(os.pathsep)
    kept = [folder for folder in folders if not (Path(folder) / "cargo").exists()]
    hidden = os.environ | {"PATH": os.pathsep.join(kept)}
    assert shutil.which("cargo", path=hidden["PATH"]) is None
    run(environment, "-m", "pip", "install", "--quiet", clone, env=hidden)
    command = environment.parent / "rateproof"
    assert run(command, "--version", cwd=tmp_path).strip().endswith("(python core)")
    admitted = run(environment, "-c", PROGRAM, cwd=tmp_path)
    assert admitted.strip() == str([True] * 5 + [False])


def test_the_wheel_alone_is_installed_and_used(wheel, environment, tmp_path):
    """Neither cargo nor a compiler is on the path, and no index is asked."""
    bare = alone(environment)
    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check")
    run(environment, *pip, wheel, env=bare, cwd=tmp_path)
    command = environment.parent / "rateproof"
    assert run(command, "--version", env=bare, cwd=tmp_path).endswith(" (native core)\n")
    log = ROOT / "tests/histories/four-workers.jsonl"
    judged = run(command, "check", log, "--json", env=bare, cwd=tmp_path, code=1)
    assert json.loads(judged)["answer"].startswith("VIOLATED: ")
    findings = map(json.loads, run(command, "doctor", "--json", env=bare).splitlines())
    states = {each["about"]: each["state"] for each in findings}
    assert (states["core"], states["server"]) == ("ok", "missing")
    admitted = run(environment, "-c", PROGRAM, env=bare, cwd=tmp_path)
    assert admitted.strip() == str([True] * 5 + [False])
    (tmp_path / "rateproof.toml").write_text("[limits.api]\npolicy = '5 per 5s'\n")
    elsewhere = ("service", "--host", "192.0.2.1")
    run(command, *elsewhere, env=bare, cwd=tmp_path, code=69)  # of the program: not our address
    listed = run(environment, "-m", "pip", "list", "--format", "freeze", env=bare, cwd=tmp_path)
    others = {line.partition("==")[0] for line in listed.split()} - {"pip", "setuptools"}
    assert others == {"rateproof"}, "the bare library needs nothing"
    (package,) = (tmp_path / "env").glob("lib/python*/site-packages/rateproof")
    # Compiled quickly the two programs take 15 MB instead of 8; `make release-check` bounds a release's.
    assert sum(each.stat().st_size for each in package.rglob("*")) <= 25_000_000


def test_a_wheel_of_another_platform_is_refused_by_name(wheel, environment, tmp_path):
    other = shutil.copy(wheel, tmp_path / wheel.name.replace("x86_64", "aarch64"))
    pip = (environment, "-m", "pip", "install", "--no-index", other)
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{Path(other).name} is not a supported wheel on this platform" in done.stderr


def test_it_is_for_every_python_and_holds_what_the_package_needs(built):
    wheel, sdist = built
    assert "-cp311-abi3-" in wheel.name, "one wheel for every Python from 3.11 on"
    names = zipfile.ZipFile(wheel).namelist()
    for needed in ("py.typed", "_native.pyi", "_native.abi3.so", "hunt/report/assets/page.html",
                   "bin/rateproof-service"):  # fmt: skip
        assert f"rateproof/{needed}" in names
    assert not [name for name in names if name.startswith("tests")]
    core = zipfile.ZipFile(wheel).read("rateproof/_native.abi3.so")
    assert b"memfd_create" not in core, "glibc 2.17, which the wheel's name promises, has no such"
    checked = run(sys.executable, ROOT / "scripts/release_check.py", wheel.parent)
    assert checked.count("PASSED") == 2, checked
    with tarfile.open(sdist) as archive:
        assert {(each.uid, each.mtime) for each in archive} == {(0, 1767323045)}


def test_two_builds_of_one_commit_are_the_same_bytes(clone, built, tmp_path):
    other = committed(clone, tmp_path / "another" / "place")
    umask = os.umask(0o077)
    try:
        again = build(other, tmp_path / "out", tmp_path / "target")
    finally:
        os.umask(umask)
    for one, two in zip(built, again, strict=True):
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes()


SHOP = """
def test_a_limit(rateproof):
    rateproof.assert_holds("http://127.0.0.1:{port}", "5 per 1s", iterations=3, worst_time="0s")
"""


def test_with_the_extras_every_verb_the_plugin_and_the_programs_run(
    wheel, environment, clone, tmp_path, unused_port, wait_for_port
):
    pip = (environment, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt")
    run(*pip, f"{wheel}[all]", "pytest")
    bare = alone(environment)
    for name in ("server.py", "client.py", "tester.py"):
        shutil.copy(clone / name, tmp_path / name)
    verbs = {"serve": ["-m", "rateproof", "serve"], "server.py": ["server.py", "--workers", "2"]}
    for program, words in verbs.items():
        port = unused_port()
        url = f"http://127.0.0.1:{port}"
        command = [environment, *words, "--port", str(port), "--policy", "5 per 1s"]
        with subprocess.Popen(command, env=bare, cwd=tmp_path, stderr=subprocess.PIPE) as server:
            try:
                wait_for_port(port)
                of_program = program == "server.py"
                client = ["client.py"] if of_program else ["-m", "rateproof", "simulate"]
                sending = (
                    url,
                    "--behaviour",
                    "saturate",
                    "--clients",
                    "4",
                    "--duration",
                    "2s",
                    "--log",
                    f"{program}.parquet",
                )
                run(environment, *client, *sending, env=bare, cwd=tmp_path)
                tester = ["tester.py"] if of_program else ["-m", "rateproof", "test"]
                length = ("--iterations", "3", "--worst-time", "0s", "--policy", "5 per 1s")
                run(environment, *tester, url, *length, env=bare, cwd=tmp_path)
                if not of_program:
                    asked = (url, "--max-requests", "100", "--json")
                    probed = (environment, "-m", "rateproof", "probe", *asked)
                    done = subprocess.run(probed, env=bare, check=False, capture_output=True)
                    assert done.returncode in {0, 2}, done.stderr
                    (tmp_path / "test_shop.py").write_text(SHOP.format(port=port))
                    run(environment, "-m", "pytest", "-q", env=bare, cwd=tmp_path)
            finally:
                server.send_signal(signal.SIGTERM)
                _, said = server.communicate(timeout=280)
        assert server.returncode == 0, said
        assert b"(native core)" in said
    rateproof = environment.parent / "rateproof"
    check = (rateproof, "check", "serve.parquet", "--policy", "5 per 1s")
    pages = ("--report", "page.html", "--junit", "junit.xml", "--allow-untested")
    run(*check, *pages, env=bare, cwd=tmp_path)
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert "completion" in run(rateproof, "completion", "bash", env=bare)
    run(rateproof, "store", "ls", env=bare)
    run(rateproof, "store", "rm", f"server-{port}", env=bare)
    run(rateproof, "doctor", env=bare)
