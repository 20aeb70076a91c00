"""The command that repeats a recipe: the settings it needs, where they are not the usual ones."""

from rateproof.hunt.recipe import Recipe
from rateproof.hunt.settings import TestSettings
from rateproof.prove import CLAIMS
from rateproof.prove.claims import CLAIM_SETS
from rateproof.simulate.scenario import SECRET_HEADERS
from rateproof.units import format_duration

__all__ = ["repeat_command"]

_KEY, _METHOD, _TOLERANCE, _TIMEOUT = "query:clientId", "GET", "500ppm", "10s"


def repeat_command(settings: TestSettings, recipe: Recipe) -> list[str]:
    """The words of the command that runs a recipe against the same target."""
    key, method = str(settings.key), settings.method
    granularity_ns = settings.granularity_ns
    tolerance, timeout = f"{settings.tolerance_ppm}ppm", format_duration(settings.timeout_ns)
    options = [
        ("--policy", str(settings.policy)),
        ("--key", None if key == _KEY else key),
        ("--claim", _claim(settings.claims)),
        ("--tolerance", None if tolerance == _TOLERANCE else tolerance),
        ("--granularity", format_duration(granularity_ns) if granularity_ns else None),
        ("--timeout", None if timeout == _TIMEOUT else timeout),
        ("--method", None if method == _METHOD else method),
        *(("--header", f"{name}: {_shown(name, value)}") for name, value in settings.headers),
        ("--data", settings.body.decode("utf-8", "surrogateescape") or None),
        ("--max-rate", None if settings.max_rate is None else f"{settings.max_rate:g}"),
        ("--transport", settings.transport),
        ("--cacert", settings.ca_file),
        ("--start", settings.start),
    ]
    given = [word for name, value in options if value is not None for word in (name, value)]
    flags = (("--insecure", settings.insecure), ("--count-denied", settings.denied_count))
    alone = [flag for flag, given in flags if given]
    return ["rateproof", "test", settings.target.url, *given, *alone, *recipe.options()]


def _shown(name: str, value: str) -> str:
    """Secrets are left to whoever repeats it: commands are handed around."""
    return "[not shown]" if name.lower() in SECRET_HEADERS else value


def _claim(claims: frozenset[str]) -> str | None:
    if claims == CLAIMS:
        return None
    return next(name for name, named in CLAIM_SETS.items() if named == claims)
