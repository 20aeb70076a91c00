"""For the tests of others: a pytest plugin, and claims that every store has to keep.

*The plugin* is the fixture `rateproof`, which asserts that a rate limit holds:

    def test_login_is_limited(rateproof):
        rateproof.assert_holds("http://127.0.0.1:5000/login", "5 per 5s", key="header:X-Api-Key")

pytest finds it by itself wherever rateproof is installed, and loads nothing else of
the package until a test asks for the fixture. See `docs/hunt/pipelines.md`.

*The claims* are classes to derive from: `StoreAgreement` holds a store of your own to the
reference, decision by decision, and `StoreRaces` to its limits while several ask at once.
See `docs/enforce/writing-a-store.md`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from rateproof.testing.plugin import RateproofFixture, rateproof

if TYPE_CHECKING:
    from rateproof.testing.options import Options
    from rateproof.testing.store_agreement import StoreAgreement
    from rateproof.testing.store_races import StoreRaces

__all__ = ["Options", "RateproofFixture", "StoreAgreement", "StoreRaces", "rateproof"]

_HOMES = {
    "Options": "rateproof.testing.options",
    "StoreAgreement": "rateproof.testing.store_agreement",
    "StoreRaces": "rateproof.testing.store_races",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value
