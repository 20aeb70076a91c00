"""Every example in a docstring is true, in either core."""

import doctest
import importlib
import pkgutil

import pytest

import rateproof


def modules_with_examples():
    """Names of the modules whose source holds a prompt, without importing the others."""
    for info in pkgutil.walk_packages(rateproof.__path__, "rateproof."):
        if info.name in {"rateproof._native", "rateproof.__main__"}:
            continue
        source = info.module_finder.find_spec(info.name).loader.get_source(info.name)
        if ">>> " in source:
            yield info.name
    yield "rateproof"


@pytest.mark.parametrize("core", ["python", "native"])
@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples_are_true(name, core, monkeypatch):
    monkeypatch.setenv("RATEPROOF_CORE", core)
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed
