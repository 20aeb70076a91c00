"""Install what the league runs into `.league/`: nothing of it touches the project's environment."""

import hashlib
import shutil
import subprocess
import sys
import venv

from league.installed import APPS, BIN, GO_LIMITERS, HOME, ROOT

__all__ = ["prepare"]

_REQUIREMENTS = ROOT / "league" / "requirements.txt"
_STAMP = HOME / "installed"


def prepare() -> None:
    """Make `.league/` what the pinned versions say; nothing to do if it is already.

    Node and Go are optional: without them their rows are not run. Raises
    `CalledProcessError` where an installer fails.
    """
    wanted = _fingerprint()
    if _STAMP.exists() and _STAMP.read_text() == wanted:
        return
    shutil.rmtree(HOME, ignore_errors=True)
    venv.create(HOME / "venv", with_pip=True)
    quiet = ("--disable-pip-version-check", "--quiet")
    _run(str(BIN / "python"), "-m", "pip", *quiet, "install", "-r", str(_REQUIREMENTS))
    if shutil.which("npm"):
        node = HOME / "node"
        node.mkdir()
        shutil.copy(APPS / "node" / "package.json", node)
        _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", cwd=node)
    if shutil.which("go"):
        _run("go", "build", "-o", str(GO_LIMITERS), ".", cwd=APPS / "go")
    _STAMP.write_text(wanted)


def _run(*command: str, cwd: object = None) -> None:
    print("$", *command, file=sys.stderr)
    subprocess.run(command, cwd=str(cwd or ROOT), check=True, stdout=sys.stderr)


def _fingerprint() -> str:
    """Of everything that decides what is installed, and of which tools were there to do it."""
    digest = hashlib.sha256(sys.version.encode())
    for tool in ("npm", "go"):
        digest.update(f"{tool} {shutil.which(tool)}\n".encode())
    files = [_REQUIREMENTS, APPS / "node" / "package.json", *sorted((APPS / "go").iterdir())]
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
