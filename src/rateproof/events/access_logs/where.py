"""The choice of requests that the policy counts: `path ~ ^/api/ and method = POST`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

from rateproof.errors import InvalidArgument
from rateproof.events.access_logs.identity import gathered, place_of
from rateproof.events.access_logs.pattern import Format
from rateproof.keyspec import KeySpec, Part

FORM: Final = (
    "a FIELD (ip, path, method, status, header:NAME, query:NAME ...), one of = != ~ !~, "
    "and a value, joined by and, or, not and parentheses"
)
_FIELD: Final = re.compile(r"[^\s()=!~]+")
_OPERATOR: Final = re.compile(r"!=|!~|=|~")
_QUOTED: Final = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\])*)\1""", re.DOTALL)
_WORD: Final = re.compile(r"and\b|or\b|not\b|[()]")
_BARE: Final = ("ip", "path", "method")

Test = Callable[[Sequence[bytes]], bool]
"""Of the values of parts, in order."""


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on a request.

    Args:
        text: as it was written.
        parts: that it asks for, each once.
        test: whether it holds, from their values; those that a request lacks are empty.
    """

    text: str
    parts: tuple[Part, ...]
    test: Test

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form.

        Raises:
            InvalidArgument: it is none; the message names the place.
        """
        reader = _Reader(text)
        test = reader.any_of()
        if reader.at < len(text):
            reader.fail("expected and, or, or the end")
        return cls(text, tuple(reader.parts), test)

    def place(
        self, format_: Format, address: Callable[[Any], bytes] | None, header: str
    ) -> tuple[tuple[int, ...], Test]:
        """The fields of a format that it needs, and whether it holds, from their values.

        Raises:
            InvalidArgument: the format has nothing of the kind.
        """
        fields, reads = gathered([place_of(each, format_, address, header) for each in self.parts])
        return fields, lambda values: self.test([read(values) for read in reads])

    def __str__(self) -> str:
        return self.text


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.parts: list[Part] = []
        self._skip()

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        at = self.at if at is None else at
        found = f", found {self.text[at : at + 20]!r}" if at < len(self.text) else ""
        raise InvalidArgument(
            f"condition {self.text!r}, character {at + 1}: {problem}{found}", FORM
        )

    def any_of(self) -> Test:
        tests = [self._all_of()]
        while self._taken("or"):
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda values: any(test(values) for test in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._taken("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda values: all(test(values) for test in tests)

    def _one(self) -> Test:
        negated = 0
        while self._taken("not"):
            negated += 1
        if self._taken("("):
            test = self.any_of()
            if not self._taken(")"):
                self.fail("expected )")
        else:
            test = self._comparison()
        return (lambda values: not test(values)) if negated % 2 else test

    def _comparison(self) -> Test:
        begun = self.at
        name = self._match(_FIELD)
        if name is None:
            self.fail("expected a field")
        number = self._part(name[0], begun)
        operator = self._match(_OPERATOR)
        if operator is None:
            self.fail("expected = != ~ or !~")
        begun, value = self.at, self._value()
        wanted = operator[0][0] != "!"
        if operator[0][-1] == "=":
            same = value.encode()
            return lambda values: (values[number] == same) is wanted
        try:
            search = re.compile(value.encode()).search
        except (re.error, RecursionError, OverflowError) as error:
            self.fail(f"no regular expression ({error})", begun)
        return lambda values: (search(values[number]) is not None) is wanted

    def _part(self, name: str, begun: int) -> int:
        text = name if name in _BARE or ":" in name else f"field:{name}"
        try:
            alternatives = KeySpec.to_read(text, of_log=True).alternatives
        except InvalidArgument:
            alternatives = ()
        if len(alternatives) != 1 or len(alternatives[0]) != 1:
            self.fail("no field", begun)
        [[part]] = alternatives
        if part not in self.parts:
            self.parts.append(part)
        return self.parts.index(part)

    def _value(self) -> str:
        if quoted := self._match(_QUOTED):
            return re.sub(rf"\\({quoted[1]})", r"\1", quoted[2])
        begun, opened = self.at, 0
        if self.text[begun : begun + 1] in {"'", '"'}:
            self.fail("the quote has no end")
        while self.at < len(self.text) and not self.text[self.at].isspace():
            opened += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            if opened < 0:
                break  # it closes what was opened before the value
            self.at += 1
        if begun == self.at or self.text[begun] in "=~":
            self.at = begun
            self.fail("expected a value ('' is nothing)")
        value = self.text[begun : self.at]
        self._skip()
        return value

    def _taken(self, word: str) -> bool:
        found = _WORD.match(self.text, self.at)
        if found is None or found[0] != word:
            return False
        return self._match(_WORD) is not None

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            self._skip()
        return found

    def _skip(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
