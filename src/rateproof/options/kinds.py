"""Kinds of values: read from text, from TOML and from Python, and the same as JSON Schema."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain
from typing import Any

from rateproof.errors import InvalidArgument, told_by
from rateproof.secret import revealed
from rateproof.units import UNIT_NS, format_duration, parse_duration

_TYPES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "an array",
    dict: "a table",
}
_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}
_NUMBER = re.compile(r"[+-]?([0-9.]+(e[+-]?[0-9]+)?|nan|inf)", re.IGNORECASE)
_LONGEST = 64  # characters of a bad value that an error repeats


def any_case(word: str) -> str:
    """A pattern of this word of ASCII in small and capital letters: JSON Schema has no flag."""
    return re.sub(r"[a-z]", lambda letter: f"[{letter[0].upper()}{letter[0]}]", word)


_UNITS = "|".join(any_case(name) for name in sorted(UNIT_NS, key=len, reverse=True))
_DURATION = rf"^\s*[0-9]{{1,20}}(\.[0-9]{{1,20}})?\s*({_UNITS})[Ss]?\s*$"
_NONZERO = r"(?=.*[1-9])"


def mismatch(value: Any, expected: str, *, secret: bool = False) -> InvalidArgument:
    """The error of a value of another type than is expected; a secret is not shown."""
    shown = "its value" if secret else f"{value!r:.{_LONGEST}}"
    return InvalidArgument(
        f"{shown} is {_TYPES.get(type(value), 'a date or time')}, not {expected}"
    )


def near(name: Any, names: Iterable[str], likeness: float = 0.6) -> str | None:
    """A hint at the name that was probably meant."""
    from difflib import get_close_matches  # only where something is wrong

    if not isinstance(name, str):
        return None
    found = get_close_matches(name.lower(), list(names), 1, likeness)
    return f"did you mean {found[0]}?" if found else None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value without parts, of one of the `types` of TOML or Python; `true` is no number.

    `written` gives the value that a text stands for, `parse` what becomes of it, and `shown` the
    text again; `schema` leaves out what only `parse` can judge. Inside the program its name ends
    in `unit`, and `inside` accepts its values, if they are not those of TOML. In a file of TOML a
    text that begins with `located` names a file, behind that and from the folder of the first on.
    """

    types: tuple[type, ...]
    schema: Mapping[str, Any]
    parse: Callable[[Any], Any]
    form: str
    metavar: str
    written: Callable[[str], Any] = str
    shown: Callable[[Any], str] = str
    unit: str = ""
    inside: Callable[[Any], Any] | None = None
    located: str | None = None

    def read(self, value: Any) -> Any:
        """The meaning of a value of TOML or Python."""
        if type(value) not in self.types:
            raise mismatch(value, " or ".join(_TYPES.get(kind, "bytes") for kind in self.types))
        return self.parse(value)

    def read_text(self, text: str) -> Any:
        """The meaning of a text of the command line or the environment."""
        return self.parse(self.written(text))

    def hold(self, name: str, value: Any) -> None:
        """Accept a value inside the program that could have been read; an error has the name."""
        with told_by(name):
            (self.inside or self.read)(value)


@dataclass(frozen=True, slots=True)
class Pairs:
    """A table whose names are free: a text for each, which may be told as `revealed` has it.

    A text stands for one pair, or for several.
    """

    schema: Mapping[str, Any]
    form: str
    metavar: str
    read_text: Callable[[str], tuple[tuple[str, str], ...]]
    shown: Callable[[tuple[str, str]], str]

    def read(self, values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """The pairs of a mapping of Python or TOML."""
        return tuple((name, revealed(value)) for name, value in values.items())


@dataclass(frozen=True, slots=True)
class Series:
    """An array of at least so many values of one kind; `written` gives those of a text."""

    item: Any
    least: int
    make: Callable[[list[Any]], Any] = list
    form: str = "an array"
    metavar: str = ""
    written: Callable[[str], list[Any]] = list

    def read(self, values: Collection[Any]) -> Any:
        """The meaning of values of Python."""
        if len(values) < self.least:
            raise InvalidArgument(f"{len(values)} items", self.form)
        return self.make([self.item.read(each) for each in values])

    def read_text(self, text: str) -> Any:
        """The meaning of a text."""
        return self.make(self.written(text))

    def shown(self, values: Any) -> str:
        """The text of values that were read."""
        return ",".join(map(str, sorted(values)))


@dataclass(frozen=True, slots=True)
class Section:
    """A table of known names; `make` takes the values that were read, by argument.

    The text under `tag` tells the variant, and `variants` what each may hold beside `options`;
    without a tag it is `default`, and must not be left out if that is None. A kind that stands in
    many places has a `name` in the schema.
    """

    options: Mapping[str, "Option"]
    make: Callable[[dict[str, Any]], Any] = dict
    tag: str | None = None
    variants: Mapping[str, Mapping[str, "Option"]] = field(default_factory=dict)
    default: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class NamedTables:
    """A table with names of this kind, such as `login`: a table of this section for each."""

    name: Leaf
    item: Section


Kind = Leaf | Pairs | Series | Section | NamedTables


@dataclass(frozen=True, slots=True)
class Option:
    """Something that can be told: by a flag, in a file, in the environment, to the fixture.

    Args:
        name: in the environment (RATEPROOF_MAX_RATE), and with hyphens the flag.
        kind: what it may be.
        help: one line on its meaning, without a full stop.
        default: the text that holds where it is left out.
        otherwise: what holds then, in words, where that is no such text.
        argument: its name inside the program, if that is not `key`, or `name` and the unit.
        key: its name in TOML and Python, if that is not `name`.
        short: its flag of one letter.
        positional: told without a flag.
        many: the flag may be repeated, and the values are gathered.
        required: it must be told.
        excludes: the names that cannot stand beside it in a file.
        hidden: accepted, but told of nowhere.
    """

    name: str
    kind: Any
    help: str
    default: str | None = None
    _: KW_ONLY
    otherwise: str = ""
    argument: str = ""
    key: str = ""
    short: str = ""
    positional: bool = False
    many: bool = False
    required: bool = False
    excludes: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def inside(self) -> str:
        """Its name inside the program."""
        return self.argument or self.key or self.name + getattr(self.kind, "unit", "")

    @property
    def in_file(self) -> str:
        """Its name in TOML and Python."""
        return self.key or self.name

    @property
    def flag(self) -> str:
        """The flag; the name in help of an option without a flag."""
        return self.placeholder if self.positional else "--" + self.name.replace("_", "-")

    @property
    def placeholder(self) -> str:
        """The word for its value in help; empty for a flag that has none."""
        text: str = self.kind.metavar
        return text

    @property
    def switch(self) -> bool:
        """True if its flag has no value."""
        return isinstance(self.kind, Leaf) and self.kind.types == (bool,)

    @property
    def choices(self) -> tuple[str, ...]:
        """The only texts that it may have; empty: there are others."""
        return tuple(self.kind.schema.get("enum", ())) if isinstance(self.kind, Leaf) else ()

    @property
    def text(self) -> str:
        """The meaning, the only texts that are accepted, and what holds where it is left out."""
        meaning = f"{self.help}: {self.kind.form}" if self.choices else self.help
        left_out = self.otherwise or self.default
        return f"{meaning}; default: {left_out}" if left_out else meaning

    def value(self) -> Any:
        """The value that holds where it is left out."""
        if self.many:
            return ()
        if self.default is None and not self.switch:
            return None
        return self.kind.read_text(self.default or ("false" if self.switch else ""))

    @property
    def opposite(self) -> str:
        """The flag that turns a switch off: of `--no-shrink` it is `--shrink`."""
        name = self.flag.removeprefix("--")
        return f"--{name.removeprefix('no-')}" if name.startswith("no-") else f"--no-{name}"

    def words(self, value: Any, known: Mapping[str, Any]) -> list[str]:
        """The words of a command line that tell a value other than what is known without them."""
        before = known[self.inside]
        if value is None or value == before:
            return []
        if self.switch:
            return [self.flag if value == self.kind.read_text("true") else self.opposite]
        values = [each for each in value if each not in before] if self.many else [value]
        shown = dict.fromkeys(map(self.kind.shown, values))  # a file of headers once
        return [word for each in shown for word in (self.flag, each)]

    def read_text(self, texts: str | list[str], source: str) -> Any:
        """The meaning of a text, or of all texts of what may be repeated; errors name the source."""
        with told_by(source):
            if isinstance(texts, list):
                read = tuple(map(self.kind.read_text, texts))
                return tuple(chain(*read)) if isinstance(self.kind, Pairs) else read
            return self.kind.read_text(texts)


def text(
    parse: Callable[[str], Any] = str,
    *,
    form: str = "text",
    metavar: str = "TEXT",
    inside: Callable[[Any], Any] | None = None,
    **schema: str | int,
) -> Leaf:
    """A text that `parse` judges, roughly as the schema says."""
    return Leaf((str,), {"type": "string", **schema}, parse, form, metavar, inside=inside)


def choice(*texts: str, metavar: str = "NAME", make: Callable[[str], Any] = str) -> Leaf:
    """One of these texts."""
    form = " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))

    def parse(value: str) -> Any:
        if value not in texts:
            raise InvalidArgument(f"{value!r} is not accepted", form)
        return make(value)

    return Leaf((str,), {"enum": list(texts)}, parse, form, metavar)


def duration(low_ns: int = 1, high_ns: int = 2**61 - 1) -> Leaf:
    """A text such as `500ms`, read as nanoseconds from `low_ns` to `high_ns`."""
    bounds = f"{format_duration(low_ns)} to {format_duration(high_ns)}"
    bounded = low_ns > 1 or high_ns < 2**61 - 1
    usual = f"a duration{' above 0' if low_ns > 0 else ''}, such as 10s"

    def inside(ns: Any, typed: str = "") -> int:
        if type(ns) is not int:
            raise mismatch(ns, "a whole number of nanoseconds")
        told = repr(typed) if typed else f"{ns}ns" if ns < 0 else format_duration(ns)
        if low_ns > 0 and ns == 0:
            raise InvalidArgument(f"{told} is too short", usual)
        if not low_ns <= ns <= high_ns:
            raise InvalidArgument(f"{told} is out of range", bounds if bounded else usual)
        return ns

    def parse(value: str) -> int:
        return inside(parse_duration(value), value)

    pattern = f"^{_NONZERO}{_DURATION[1:]}" if low_ns > 0 else rf"{_DURATION}|^\s*0\s*$"
    form = f"a duration from {bounds}" if bounded else usual
    schema = {"type": "string", "pattern": pattern}
    return Leaf((str,), schema, parse, form, "TIME", str, format_duration, "_ns", inside)


def whole(low: int, high: int, *, of: str = "a whole number", unit: str = "") -> Leaf:
    """A whole number from `low` to `high`, both included; its text may end in the unit."""
    form = f"{of} from {low}{unit} to {high}{unit}"

    def written(value: str) -> int:
        digits = value.removesuffix(unit)
        if not (digits.isascii() and digits.removeprefix("-").isdigit() and len(digits) <= 20):
            raise InvalidArgument(f"{value!r} is not a whole number", form)
        return int(digits)

    def parse(value: int) -> int:
        if not low <= value <= high:
            raise InvalidArgument(f"{value}{unit} is out of range", form)
        return value

    def shown(value: int) -> str:
        return f"{value}{unit}"

    schema = {"type": "integer", "minimum": low, "maximum": high}
    metavar, ending = (unit.upper(), f"_{unit}") if unit else ("N", "")
    return Leaf((int,), schema, parse, form, metavar, written, shown, ending)


def number(low: float, high: float, *, open_below: bool = False, of: str = "a number") -> Leaf:
    """A finite number from `low` (without it if `open_below`) to `high`."""
    bounds = f"above {low:.15g} and at most {high:.15g}" if open_below else f"{low:g} to {high:g}"
    form = f"{of}, {bounds}"

    def written(value: str) -> float:
        try:
            found = float(value) if _NUMBER.fullmatch(value) else None
        except ValueError:  # such as 1.2.3
            found = None
        if found is None:
            raise InvalidArgument(f"{value!r} is not a number", form)
        return parse(found, value)

    def parse(value: float, typed: str = "") -> float:
        above = low < value if open_below else low <= value
        if not math.isfinite(value) or not above or value > high:
            raise InvalidArgument(f"{typed or value} is out of range", form)
        return float(value)

    bound = "exclusiveMinimum" if open_below else "minimum"
    schema = {"type": "number", bound: low, "maximum": high}
    return Leaf((int, float), schema, parse, form, "RATE", written, "{:g}".format)


def flag(*, told: bool = True) -> Leaf:
    """`true` or `false`; a flag of the command line tells `told`."""

    def written(value: str) -> bool:
        if value.lower() not in _WORDS:
            raise InvalidArgument(repr(value), "true or false")
        return _WORDS[value.lower()] == told

    return Leaf((bool,), {"type": "boolean"}, bool, "true or false", "", written)
