"""Columns of a log as Arrow has them: made into ours, and out of ours."""

import math
from array import array
from typing import Any

from rateproof import linux
from rateproof.errors import LogError
from rateproof.events.columns import NULL
from rateproof.events.log import (
    BINARY,
    COLUMNS,
    DEFAULTS,
    FLOAT,
    INT,
    OUTCOMES,
    REJECTED_STATUSES,
    TEXT,
    EventLog,
    outcome_of,
)

_TEXTS = ("is_string", "is_large_string", "is_string_view")
_TESTS = {
    INT: ("is_integer",),
    FLOAT: ("is_floating", "is_integer"),
    TEXT: _TEXTS,
    BINARY: (*_TEXTS, "is_binary", "is_large_binary", "is_binary_view"),
}
"""By kind: the types that a column of a file may have, to be made into it."""

_STORED: dict[str, tuple[Any, Any]] = {INT: ("q", NULL), FLOAT: ("d", math.nan)}
"""By kind of numbers: the code of `memoryview`, and what stands for None."""


def types_of(pa: Any) -> dict[str, Any]:
    """The types of columns, by kind."""
    return {INT: pa.int64(), FLOAT: pa.float64(), TEXT: pa.string(), BINARY: pa.binary()}


def fits(pa: Any, given: Any, kind: str) -> bool:
    """True of a type of Arrow of which a column of this kind can be made."""
    return any(getattr(pa.types, test)(given) for test in _TESTS[kind])


def array_of(pa: Any, log: EventLog, name: str) -> Any:
    """A column as Arrow has it, without a Python object for each row."""
    kind = COLUMNS[name]
    type_ = types_of(pa)[kind]
    if not len(log):
        return pa.array([], type_)
    if log.same(name) is not None:
        return pa.repeat(pa.scalar(getattr(log[0], name), type_), len(log))
    stored = log.stored(name)
    buffers = [None, pa.py_buffer(stored)]
    if kind in {TEXT, BINARY}:
        codes = pa.Array.from_buffers(pa.int32(), len(log), buffers)
        return pa.array(log.words(name), type_).take(codes)
    numbers = pa.Array.from_buffers(type_, len(log), buffers)
    if kind == INT:
        there = pa.compute.not_equal(numbers, NULL)
    else:
        there = pa.compute.invert(pa.compute.is_nan(numbers))
    if pa.compute.all(there).as_py():
        return numbers
    return pa.Array.from_buffers(type_, len(log), [there.buffers()[1], buffers[1]])


def room_for(name: str, rows: int, defaults: int) -> Any:
    """Room for a column, which begins with so many rows of its default."""
    code, null = _STORED[COLUMNS[name]]
    room = linux.room(8 * rows).cast(code)
    if defaults:
        default = DEFAULTS[name]
        room[:defaults] = memoryview(array(code, [null if default is None else default]) * defaults)
    return room


def stored(values: Any, name: str) -> Any:
    """Numbers as a log stores them."""
    code, null = _STORED[COLUMNS[name]]
    return memory_of(values.fill_null(null) if values.null_count else values, code)


def values_of(pa: Any, values: Any, name: str, path: str, *, first: int = 0) -> Any:
    """A column as int64, float64, string or binary; nulls where the log may have None.

    Words that repeat may stay a dictionary of them; `first` is the number of row 0.
    """
    kind, types = COLUMNS[name], pa.types
    repeats = types.is_dictionary(values.type)
    if repeats and any(chunk.dictionary.null_count for chunk in values.chunks):
        values, repeats = values.cast(values.type.value_type), False
    given = values.type.value_type if repeats else values.type
    if types.is_timestamp(given) or types.is_duration(given):
        unit = "timestamp" if types.is_timestamp(given) else "duration"
        values = values.cast(getattr(pa, unit)("ns"))
    elif not types.is_null(given) and not fits(pa, given, kind):
        wrong, hint = f"{name} is {{!r}}", f"{name} holds {kind}"
        _refuse(values.is_valid(), values, wrong, hint, path, first=first)
    try:
        if not repeats or types.is_null(given) or kind in {INT, FLOAT}:
            values = values.cast(types_of(pa)[kind])
    except pa.ArrowInvalid as error:  # beyond 64 bits, or text that is not UTF-8
        raise LogError(f"{path}: {name}: {error}", f"{name} holds {kind}") from error
    if name in {"key", "sent_ns"} and values.null_count:
        hint = "key and sent_ns never are"
        _refuse(values.is_null(), values, f"{name} is null", hint, path, first=first)
    if kind == INT and pa.compute.min(values).as_py() == NULL:
        too_low = pa.compute.equal(values, NULL)
        _refuse(too_low, values, f"{name} is {{!r}}", "above -2**63", path, first=first)
    default = DEFAULTS.get(name)
    return values if default is None or not values.null_count else values.fill_null(default)


def outcomes_of(
    pa: Any, status: memoryview, outcome: Any, path: str, rejected: frozenset[int] | None
) -> Any:
    """Outcomes as they are given, and by the status where they are not, as `coded`."""
    if outcome is not None:
        words = {word for chunk in outcome.chunks for word in chunk.unique().to_pylist()}
        if not words <= {*OUTCOMES, None}:
            known = pa.compute.is_in(outcome.cast(pa.string()), value_set=pa.array(OUTCOMES))
            strange = pa.compute.and_not(outcome.is_valid(), known)
            _refuse(strange, outcome, "outcome {!r}", f"one of {', '.join(OUTCOMES)}", path)
        if not outcome.null_count:
            return coded(pa, outcome, "outcome")
    statuses = pa.Array.from_buffers(pa.int64(), len(status), [None, pa.py_buffer(status)])
    seen = statuses.unique()
    rejected = REJECTED_STATUSES if rejected is None else rejected
    known = [outcome_of(None if one == NULL else one, rejected) for one in seen.to_pylist()]
    told = pa.array(known, pa.string()).take(pa.compute.index_in(statuses, seen))
    if outcome is not None:
        told = pa.compute.coalesce(outcome.cast(pa.string()), told)
    return coded(pa, told, "outcome")


def is_default(pa: Any, values: Any, name: str) -> bool:
    """True if every row has what a log has where nothing says otherwise: it takes no memory."""
    default = DEFAULTS.get(name)
    if default is None:
        return name in DEFAULTS and bool(values.null_count == len(values))
    ends: dict[str, Any] = pa.compute.min_max(values).as_py()
    return ends == {"min": default, "max": default}


def coded(pa: Any, values: Any, name: str) -> Any:
    """A column of words in the form that `EventLog.from_columns` takes."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if isinstance(values, pa.ChunkedArray):
        pieces = values.unify_dictionaries().chunks
        values = pa.concat_arrays(pieces) if pieces else pa.array([], values.type)
    words = values.dictionary.cast(types_of(pa)[COLUMNS[name]]).to_pylist()
    codes = values.indices.cast(pa.int32())
    if codes.null_count:
        codes = codes.fill_null(len(words))
    return memory_of(codes, "i"), [*words, None]


def memory_of(values: Any, type_: Any) -> memoryview:
    """The memory of numbers without nulls."""
    nothing: memoryview = memoryview(b"").cast(type_)
    if not len(values):
        return nothing
    size, memory = nothing.itemsize, memoryview(values.buffers()[1]).toreadonly().cast("B")
    numbers = memory[values.offset * size : (values.offset + len(values)) * size]
    return numbers.cast(type_)


def _refuse(wrong: Any, values: Any, problem: str, hint: str, path: str, *, first: int = 0) -> None:
    """Raise for the first row that is wrong, if there is one; `first` is the number of row 0."""
    row = wrong.index(True).as_py()
    if row >= 0:
        problem = problem.format(values[row].as_py())
        raise LogError(f"{path}, row {first + row + 1}: {problem}", hint)
