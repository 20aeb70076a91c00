"""The way an access log is read, and the native scanner that reads its lines so."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rateproof.core import required_native
from rateproof.events.access_logs.pattern import EITHER, END, START, Format
from rateproof.events.access_logs.where import Where
from rateproof.keyspec import KeySpec

LONGEST_NS: Final = 5_000_000_000
"""The longest that a request lasts, where the log does not say it and nobody does."""

CLOCK_LAG_NS: Final = 10_000_000
"""The most by which a server reads its clock late: nginx and others do once a turn of their event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The way an access log is to be read.

    Args:
        key: where the client's identity lies.
        format: of its lines; None: as the lines show.
        longest_ns: how long a request lasts at most of which the log does not say it.
        address: gives the client's address of an `identity.LoggedRequest`; None: that of its peer.
        header: the field that trusted proxies append to; "" where none is trusted.
        skip_bad: lines that are not understood are left out, however many they are.
        where: which requests the policy counts; None: all.
        since_ns: requests decided before are left out; None: none is.
        until_ns: requests decided then or later are left out; None: none is.
        skew_ns: how far the clocks of several hosts are off the limiter's; None: there is one
            host, and its clock counts.
    """

    key: KeySpec = KeySpec.parse("ip")
    format: Format | None = None
    longest_ns: int = LONGEST_NS
    address: Callable[[Any], bytes] | None = None
    header: str = ""
    skip_bad: bool = False
    where: Where | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    skew_ns: int | None = None


def scanner_of(
    format_: Format,
    reading: Reading,
    groups: Sequence[Sequence[int]],
    hashed: Sequence[int] = (),
) -> Any:
    """The native scanner of lines of this format.

    Each group of fields becomes a column of words, and each field that is hashed one of hashes.
    """
    asked = {
        "prefix": format_.prefix.encode(),
        "steps": [(field.kind, field.unit_ns, until.encode()) for field, until in format_.fields],
        "open": format_.open,
        "escaped": format_.escaped,
        "paths": [[name.encode() for name in path] for path in format_.paths],
        "groups": [list(group) for group in groups],
        "hashed": list(hashed),
        "before": format_.stamp in {END, EITHER},
        "after": format_.stamp in {START, EITHER},
        "longest_ns": reading.longest_ns,
        "slack_ns": CLOCK_LAG_NS + (reading.skew_ns or 0),
    }
    return required_native("reading an access log").AccessScanner(asked)


def scanned(
    format_: Format, lines: Iterable[bytes], reading: Reading, groups: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Everything that these lines show."""
    scanner = scanner_of(format_, reading, groups)
    for line in lines:
        scanner.feed(line)
    scanner.end()
    found: dict[str, Any] = scanner.take(keep=False)
    return found
