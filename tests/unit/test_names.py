"""An algorithm's name is written once in each language: whatever else knows one asks its record."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from rateproof.enforce.algorithms import RULES
from rateproof.events.importers import IMPORTERS
from rateproof.policy import ALGORITHMS
from rateproof.prove.over_admission import families as prove_families
from rateproof.registry import names_in
from rateproof.simulate.behaviours import BEHAVIOURS

ROOT = Path(__file__).parents[2]
NAMED = re.compile(rf"(?<![\w-])({'|'.join(ALGORITHMS)})(?![\w-])")


def texts_of_python(path):
    """Every string of a file but docstrings, those of f-strings too."""
    tree = ast.parse(path.read_text())
    docs = {
        id(body[0].value)
        for node in ast.walk(tree)
        if (body := getattr(node, "body", None)) and isinstance(body, list)
        if isinstance(body[0], ast.Expr)
    }
    docs |= {  # a string below an assignment documents what was assigned
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def texts_of_rust(path):
    """Every string of a file, without comments and from its tests on."""
    code = path.read_text().partition("#[cfg(test)]")[0]
    yield from re.findall(r'"((?:[^"\\]|\\.)*)"', re.sub(r"//.*", "", code))


def texts_of_lua(path):
    yield from re.findall(r'"([^"]*)"', path.read_text())


def named_in(folder, suffix, texts_of):
    return {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted((ROOT / folder).rglob(f"*{suffix}"))
        for text in texts_of(path)
        for name in NAMED.findall(text)
    }


def test_in_python_only_its_record_writes_an_algorithms_name():
    expected = {(f"src/rateproof/policy/{name.replace('-', '_')}.py", name) for name in ALGORITHMS}
    assert named_in("src", ".py", texts_of_python) == expected


def test_in_lua_only_its_script_writes_an_algorithms_name():
    folder = "src/rateproof/enforce/stores/redis/lua"
    assert named_in("src", ".lua", texts_of_lua) == {
        (f"{folder}/{name}.lua", name) for name in RULES
    }


@pytest.mark.parametrize("folder", ["enforce/src", "prove/src", "simulate/src", "python/src"])
def test_in_rust_only_its_file_writes_an_algorithms_name(folder):
    for path, name in named_in(f"rust/{folder}", ".rs", texts_of_rust):
        assert Path(path).stem == name.replace("-", "_"), path


@pytest.mark.parametrize(
    ("folder", "registry"),
    [
        ("rateproof.enforce.algorithms", RULES),
        ("rateproof.prove.over_admission.families", prove_families.FAMILIES),
        ("rateproof.simulate.behaviours", BEHAVIOURS),
        ("rateproof.events.importers", IMPORTERS),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_registry_is_its_folder(folder, registry):
    assert list(registry) == names_in(folder)


def test_the_files_of_an_algorithm_bear_its_name():
    assert all(record.name == name for name, record in ALGORITHMS.items())
    assert set(names_in("rateproof.policy")) == {*ALGORITHMS, "notation", "record"}
    assert RULES.keys() | prove_families.FAMILIES.keys() <= ALGORITHMS.keys()


def test_each_public_class_has_a_name_of_its_own():
    named = Counter(
        node.name
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert named.total() > 200
    assert not [name for name, count in named.items() if count > 1]


def test_no_module_bears_the_name_of_its_folder():
    files = [*(ROOT / "src").rglob("*.py")]
    assert len(files) > 100
    assert not [path for path in files if path.stem == path.parent.name]
