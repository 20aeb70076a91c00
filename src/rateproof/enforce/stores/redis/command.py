"""The commands of a policy, and the reading of replies."""

import re
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

from rateproof.enforce.decision import Answer
from rateproof.enforce.stores.redis.scripts import LAYOUT, figures, script_for
from rateproof.enforce.stores.tables import fingerprint
from rateproof.policy import Quota

Mode: TypeAlias = Literal["hit", "peek"]

_digest = partial(blake2b, digest_size=16)
_ONE: Final = b"$1\r\n1\r\n"


def digest_of(key: bytes) -> bytes:
    """Return what stands for a client's key in Redis: it is short, and the client cannot choose its slot."""
    return _digest(key).hexdigest().encode()


def pack(*words: bytes) -> bytes:
    """A command in the protocol of Redis (RESP)."""
    return b"*%d\r\n" % len(words) + b"".join(map(_bulk, words))


def _bulk(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


class Command:
    """The decision of one policy, for any key.

    The digest of the key stands between braces, which is all that a Cluster
    hashes: the states of one key, whatever the quota, lie in one slot.

    Args:
        prefix: what the names of all keys begin with; free of `%` and braces.
        quotas: of the policy.
    """

    def __init__(self, prefix: str, quotas: Sequence[Quota]) -> None:
        self._script = script_for(quotas)
        self._bursts = [quota.burst for quota in quotas]
        # Times have up to 16 digits, as 2**53 has: in nanoseconds they fit into 64 bits.
        self._reply = re.compile(rb"[01](?: \d{1,16}){%d}" % (3 * len(quotas)))
        start = f"{prefix}:{LAYOUT}:{{%b}}"
        self._keys = [f"{start}:{fingerprint(quota)}".encode() for quota in quotas]
        self._figures = [
            str(word).encode() for quota in quotas for word in (quota.algorithm, *figures(quota))
        ]
        self._forms = {"hit": self._form(b"hit"), "peek": self._form(b"peek")}

    def packed(self, digest: bytes, mode: Mode, cost: int) -> bytes:
        """The command in the protocol of Redis: by the script's digest."""
        bulk = _ONE if cost == 1 else _bulk(b"%d" % cost)
        return self._forms[mode] % (*(digest,) * len(self._keys), bulk)

    def words(self, digest: bytes, mode: Mode, cost: int, *, whole: bool = False) -> list[bytes]:
        """The command word by word; with the text of the script if `whole`."""
        script = self._script.text if whole else self._script.sha
        return [
            b"EVAL" if whole else b"EVALSHA",
            script,
            b"%d" % len(self._keys),
            *self.keys(digest),
            mode.encode(),
            b"%d" % cost,
            *self._figures,
        ]

    def read(self, reply: object, cost: int) -> tuple[bool, tuple[Answer, ...]]:
        """Read a reply: true if it passes, and the answer of each quota.

        Raises:
            ValueError: the script does not answer like that.
        """
        if not isinstance(reply, bytes) or not self._reply.fullmatch(reply):
            raise ValueError(f"no decision: {reply!r:.80}")
        passes, *figures = map(int, reply.split())
        answers = []
        by_quota = (self._bursts, figures[0::3], figures[1::3], figures[2::3])
        for most, free, wait, reset in zip(*by_quota, strict=True):
            if free > most:
                raise ValueError(f"more left than the limit: {reply!r}")
            fits = passes == 1 or free >= cost
            answers.append(Answer._make((fits, False, free, wait * 1000, reset * 1000)))
        return passes == 1, tuple(answers)

    def keys(self, digest: bytes) -> list[bytes]:
        """Keys of Redis for the state of each quota; with the digest `*` a pattern for all."""
        return [key % digest for key in self._keys]

    def _form(self, mode: bytes) -> bytes:
        """`pack` of `words`, with a place for each digest and for the cost."""
        keys = [b"$%d\r\n%b\r\n" % (len(key % bytes(32)), key) for key in self._keys]
        first = [b"EVALSHA", self._script.sha, b"%d" % len(keys)]
        count = len(first) + len(keys) + 2 + len(self._figures)
        bulks = [*map(_bulk, first), *keys, _bulk(mode), b"%b", *map(_bulk, self._figures)]
        return b"*%d\r\n" % count + b"".join(bulks)
