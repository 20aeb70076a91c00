"""What lies in a folder of the package, found by looking there: nothing lists it a second time."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

__all__ = ["modules_in"]


def modules_in(package: str) -> dict[str, Any]:
    """The modules of a package, imported, by the name of their file with `-` for `_`.

    Args:
        package: its full name; it is imported itself where it was not yet.
    """
    paths = import_module(package).__path__
    names = sorted(module.name for module in iter_modules(paths) if not module.ispkg)
    return {name.replace("_", "-"): import_module(f"{package}.{name}") for name in names}
