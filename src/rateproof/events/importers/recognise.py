"""Which tool wrote a log, by its first line."""

import json
import re
from typing import Final

from rateproof.errors import LogError

__all__ = ["K6", "OURS", "VEGETA_CSV", "VEGETA_JSON", "recognise"]

OURS: Final = "rateproof"
K6: Final = "k6"
VEGETA_JSON: Final = "vegeta-json"
VEGETA_CSV: Final = "vegeta-csv"

_CSV = re.compile(rb"\d{10,19},\d{1,3},\d+,\d+,\d+,")  # timestamp, code, latency, bytes out, in
_NO_TEXT = re.compile(rb"[\x00-\x08\xfe\xff]")
_GZIP = b"\x1f\x8b"


def recognise(line: bytes, name: str) -> str:
    """The tool that wrote a first line; ours where it cannot be told.

    Raises:
        LogError: a form that only the tool itself can read: vegeta's own encoding, or gzip.
    """
    if line.startswith(_GZIP):
        raise LogError(f"{name} is compressed", "gunzip it first")
    if _NO_TEXT.search(line) and b"Attack" in line and b"Latency" in line:
        raise LogError(f"{name} is in vegeta's own encoding", "vegeta encode --to json FILE")
    if _CSV.match(line):
        return VEGETA_CSV
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return OURS
    if isinstance(row, dict):
        if row.keys() >= {"metric", "type", "data"}:
            return K6
        if row.keys() >= {"attack", "seq", "code", "timestamp", "latency"}:
            return VEGETA_JSON
    return OURS
