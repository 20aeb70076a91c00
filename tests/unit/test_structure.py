"""Imports: the package can be read in order, and `prove` in seven steps."""

import ast
from pathlib import Path

import pytest

import rateproof

ROOT = Path(rateproof.__file__).parent
PROVE = "rateproof.prove"
MOST_LEVELS, MOST_FILES = 7, 8


def _modules() -> dict[str, Path]:
    """Every module but the face of the package, which loads nothing until it is asked."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    del found["rateproof"]
    return found


MODULES = _modules()


def _imported(name: str) -> set[str]:
    """The modules that one imports, wherever in its text."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= modules & MODULES.keys() or {node.module}
    return names & MODULES.keys() - {name}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return {name: _imported(name) for name in MODULES}


def _depth(name: str, imports: dict[str, set[str]], known: dict[str, int], path: list[str]) -> int:
    """The modules of the longest chain of imports that begins here.

    Raises:
        AssertionError: a circle.
    """
    assert name not in path, " -> ".join([*path[path.index(name) :], name])
    if name not in known:
        below = (_depth(other, imports, known, [*path, name]) for other in imports[name])
        known[name] = 1 + max(below, default=0)
    return known[name]


def test_no_imports_go_in_a_circle(imports):
    for name in MODULES:
        _depth(name, imports, {}, [])


def test_prove_has_seven_levels_of_modules_and_eight_files(imports):
    inside = {
        name: {other for other in others if other.startswith(PROVE)}
        for name, others in imports.items()
        if name.startswith(PROVE)
    }
    known: dict[str, int] = {}
    depths = {name: _depth(name, inside, known, []) for name in inside if name != PROVE}
    assert max(depths.values()) <= MOST_LEVELS, max(depths, key=depths.__getitem__)
    assert len(list((ROOT / "prove").glob("*.py"))) <= MOST_FILES
