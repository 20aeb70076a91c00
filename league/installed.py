"""The league's third-party software: its places and versions."""

import json
import re
import subprocess
from pathlib import Path

__all__ = [
    "APPS",
    "BIN",
    "GO_LIMITERS",
    "HOME",
    "NODE_MODULES",
    "ROOT",
    "go_module",
    "npm",
    "program",
    "pypi",
]

ROOT = Path(__file__).parent.parent
APPS = ROOT / "league" / "apps"
HOME = ROOT / ".league"
BIN = HOME / "venv" / "bin"
NODE_MODULES = HOME / "node" / "node_modules"
GO_LIMITERS = HOME / "go-limiters"

_WHEEL_VERSIONS = """
import sys
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in sys.argv[1:]))
"""


def pypi(*packages: str) -> str:
    """Packages of the league's own virtual environment, such as `Flask-Limiter 4.1.1`."""
    return _output(str(BIN / "python"), "-c", _WHEEL_VERSIONS, *packages)


def npm(*packages: str) -> str:
    """Packages of the league's own `node_modules`."""
    found = []
    for package in packages:
        described = json.loads((NODE_MODULES / package / "package.json").read_text())
        found.append(f"{package} {described['version']}")
    return ", ".join(found)


def go_module(path: str) -> str:
    """A module as `apps/go/go.mod` pins it."""
    pinned = re.search(rf"{re.escape(path)} v(\S+)", (APPS / "go" / "go.mod").read_text())
    if pinned is None:
        raise LookupError(f"apps/go/go.mod does not require {path}")
    return f"{path} {pinned[1]}"


def program(name: str, option: str) -> str:
    """A system program, as it says itself: nginx with `-v`, redis-server with `--version`."""
    said = re.search(r"\d+\.\d+(\.\d+)?", _output(name, option))
    return f"{name} {said[0] if said else 'of unknown version'}"


def _output(*command: str) -> str:
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    return result.stdout.strip()
