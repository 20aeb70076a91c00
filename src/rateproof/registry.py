"""Registries: a folder of the package is read, and nothing lists it a second time."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any


def names_in(package: str) -> list[str]:
    """The names of the files in a folder, with `-` for `_`, in their order; none is imported.

    Args:
        package: the full name of the folder, such as `rateproof.simulate.behaviours`.
    """
    folder = Path(__file__).parent.joinpath(*package.split(".")[1:])
    found = iter_modules([str(folder)])
    return sorted(module.name.replace("_", "-") for module in found if not module.ispkg)


def modules_in(package: str) -> dict[str, Any]:
    """The modules in a folder, imported, by their name as `names_in` has it."""
    return {
        name: import_module(f"{package}.{name.replace('-', '_')}") for name in names_in(package)
    }
