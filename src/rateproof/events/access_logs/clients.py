"""The clients of a log, as codes."""

from operator import is_

from rateproof.events.access_logs.identity import Read


class Clients:
    """The codes of those that were read, and how the next are.

    Args:
        read: the key of a request, or nothing, from the fields that name its client.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._code_of, self._of = {b"": -1}, list[int]()
        self.new: list[bytes] = []
        """Those that got their codes last."""
        self.nameless = False
        """True if there are requests of none."""

    def codes(self, words: list[bytes], *, keep: bool) -> list[int] | None:
        """The codes of clients by those of words, of which these are new; None if they are the same.

        Unless told to keep them, clients are numbered anew.
        """
        told = [self._read(word.split(b"\n")) for word in words]
        if not keep:
            self._code_of, self._of, self.nameless = {b"": -1}, [], False
            if all(told) and all(map(is_, told, words)):
                self.new = told
                return None
        self.new = []
        self._of += map(self._code, told)
        same = len(self._of) == len(self._code_of) - 1 and not self.nameless
        return None if same else self._of

    def _code(self, key: bytes) -> int:
        """-1 of a request that names none."""
        self.nameless = self.nameless or not key
        code = self._code_of.get(key)
        if code is None:
            code = self._code_of[key] = len(self._code_of) - 1
            self.new.append(key)
        return code
