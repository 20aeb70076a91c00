"""Keys of a file in the place of invented identities, and the names that are recorded of them."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final
from urllib.parse import quote

from rateproof.errors import InvalidArgument
from rateproof.keyspec import Part

SALT: Final = secrets.token_bytes(16)
"""Begins what the recorded names are digests of: written down nowhere, and another in each process.

Without it a short key could be found by trying all of them.
"""

# RFC 9110 section 5.5 and RFC 6265 section 4.1.1, without what is not ASCII.
_ALLOWED: Final = {
    "header": re.compile(rb"[!-~]([\t -~]*[!-~])?"),
    "cookie": re.compile(rb"[!#-+\--:<-\[\]-~]+"),
    "path": re.compile(rb"(?!\.{1,2}$).+", re.DOTALL),
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Keys that clients of a run send instead of identities that are invented.

    A client beyond the last key, and one that changes its identity, goes round those that
    nobody has alone; the name that is recorded is the key's, so the log says so.

    Args:
        keys: at least one, as `KeyFile` has them; shown nowhere.
        own: the first so many clients have theirs alone, as long as they keep one.
        salt: of the names.
    """

    keys: tuple[bytes, ...] = field(repr=False)
    own: int = 0
    salt: bytes = field(default=SALT, repr=False)

    def place(self, client: int, alias: int, clients: int) -> int:
        """The number of the key that one of so many clients sends under an alias."""
        own, most = self.own, len(self.keys)
        if most <= own or (client < own and not alias):
            return (client + alias * clients) % most
        if client < own:
            turn = client + (alias - 1) * own
        else:
            turn = client - own + alias * max(1, clients - own)
        return own + turn % (most - own)

    def written(self, part: Part) -> list[bytes]:
        """Each as it stands in a request; one in JSON has its closing quote, and blanks up to the longest.

        Raises:
            InvalidArgument: a key that cannot stand there, by its number.
        """
        allowed = _ALLOWED.get(part.kind)
        for number, key in enumerate(self.keys, 1):
            if allowed is not None and not allowed.fullmatch(key):
                raise InvalidArgument(
                    f"key number {number} of the file cannot stand in {part}",
                    'a header and a cookie take visible ASCII, a cookie no blank and none of ",;\\',
                )
        if part.kind in {"query", "path"}:
            return [quote(key, safe="").encode() for key in self.keys]
        if part.kind == "json":
            texts = [json.dumps(key.decode())[1:].encode() for key in self.keys]
            longest = max(map(len, texts))
            return [text.ljust(longest) for text in texts]
        return list(self.keys)

    def names(self, written: Sequence[bytes]) -> list[bytes]:
        """The record of some that `written` has given: `k-` and 16 hexadecimal digits."""
        return [
            b"k-" + blake2b(self.salt + each, digest_size=8).hexdigest().encode()
            for each in written
        ]
