"""Format strings of nginx and Apache, as they stand in a configuration, and maps of JSON objects."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias, Unpack

from rateproof.errors import InvalidArgument
from rateproof.events.access_logs.pattern import (
    EITHER,
    END,
    START,
    Field,
    Format,
    FormatNotes,
    object_of,
    pattern,
)

_Reader: TypeAlias = Callable[[re.Match[str]], Field | str]

_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_TIMES: Final = {"sec": "s", "msec": "ms", "usec": "us"}

NGINX: Final[Mapping[str, Field]] = {
    "remote_addr": Field("ip"),
    "time_local": Field("time", "clf", stamp=END),
    "time_iso8601": Field("time", "iso", stamp=END),
    "msec": Field("time", "epoch", _NS["s"], END),
    "request": Field("request"),
    "request_method": Field("method"),
    "request_uri": Field("path"),
    "uri": Field("path"),
    "args": Field("query"),
    "query_string": Field("query"),
    "status": Field("status", "status"),
    "request_time": Field("duration", "duration", _NS["s"]),
    "body_bytes_sent": Field("body_bytes_sent", "number"),
    "bytes_sent": Field("bytes_sent", "number"),
}
"""Variables of nginx that mean something here (nginx.org/en/docs/varindex.html)."""

_NGINX_NAMED: Final = {"http_": "header:", "cookie_": "cookie:", "arg_": "query:"}
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_DIRECTIVE: Final = re.compile(
    r"%[!,\d<>]*(?:\{(?P<of>[^}]*)\})?[!,\d<>]*(?P<name>\^\w{2}|[A-Za-z%])"
)
_ESCAPES: Final = {'\\"': '"', "\\t": "\t", "\\n": "\n", "\\\\": "\\"}
_FORM: Final = "a log_format of nginx ($remote_addr ...) or a LogFormat of Apache (%h ...)"
_OBJECT: Final = "json:"
_OF_OBJECT: Final = "json:ip=PATH,time=PATH,status=PATH, where a PATH is request.remote_ip"

_APACHE: Final[Mapping[str, Field]] = {
    "h": Field("ip"),
    "a": Field("ip"),
    "t": Field("time", "clf", stamp=START),
    "r": Field("request"),
    "m": Field("method"),
    "U": Field("path"),
    "q": Field("query"),
    "s": Field("status", "status"),
    "D": Field("duration", "duration", _NS["us"]),
    "T": Field("duration", "duration", _NS["s"]),
    "b": Field("bytes", "number"),
    "B": Field("bytes", "number"),
    "O": Field("bytes", "number"),
    "L": Field("request_id"),
    "u": Field("user"),
    "l": Field("logname"),
}
_APACHE_NAMED: Final = {"i": ("header:", "list"), "C": ("cookie:", "text")}


def of_text(text: str) -> Format:
    """The format that a string of nginx or Apache, or a map of JSON objects, describes.

    Raises:
        InvalidArgument: it is neither, or cannot be told apart.
    """
    if text.startswith(_OBJECT):
        return mapped(text)
    if _VARIABLE.search(text):
        return nginx(text, text)
    if _DIRECTIVE.search(text):
        return apache(text, text)
    raise InvalidArgument(f"{text!r} is not a format", _FORM)


def mapped(text: str) -> Format:
    """A format such as `json:ip=client.ip,end=ts,status=code,duration:ms=took`.

    `end` and `start` are stamps of the one or the other, `time` of either; with `:ms`, `:us` or `:ns`
    these and `duration` count in units other than seconds.

    Raises:
        InvalidArgument: it is none.
    """
    fields: list[tuple[Field, str]] = []
    for pair in filter(None, map(str.strip, text.removeprefix(_OBJECT).split(","))):
        name, equals, path = pair.partition("=")
        what, colon, unit = name.rpartition(":")
        what, unit = (what, unit) if colon and what in {*_INSTANTS, "duration"} else (name, "s")
        if not equals or not what or not path or unit not in _NS:
            raise InvalidArgument(f"{pair!r} is not a field of a JSON object", _OF_OBJECT)
        if what in _INSTANTS:
            field = Field("time", "instant", _NS[unit], _INSTANTS[what])
        elif what == "duration":
            field = Field("duration", "duration", _NS[unit])
        else:
            kind = "status" if what == "status" else "text"
            field = Field(what.lower() if what.startswith("header:") else what, kind)
        if field.kind != "instant" and field.name in {known.name for known, _ in fields}:
            raise InvalidArgument(f"{text!r} has the field {field.name} twice", _OF_OBJECT)
        fields.append((field, path))
    return object_of(text, fields, EITHER)


_INSTANTS: Final = {"end": END, "start": START, "time": EITHER}


def nginx(
    name: str, text: str, more: Mapping[str, Field] | None = None, **told: Unpack[FormatNotes]
) -> Format:
    """A format in the notation of nginx; `more` are variables of other servers."""
    known = {**NGINX, **(more or {})}

    def field(match: re.Match[str]) -> Field:
        variable = match[1] or match[2]
        if variable in known:
            return known[variable]
        for prefix, kind in _NGINX_NAMED.items():
            if variable.startswith(prefix):
                name = variable.removeprefix(prefix)
                return (
                    Field(kind + name.replace("_", "-"), "list")
                    if prefix == "http_"
                    else Field(kind + name)
                )
        return Field(variable, "list" if variable.startswith("upstream_") else "text")

    return _format(name, text, _VARIABLE, field, EITHER, **told)


def apache(name: str, text: str, **told: Unpack[FormatNotes]) -> Format:
    """A format in the notation of Apache (httpd.apache.org/docs/2.4/mod/mod_log_config.html)."""
    text = re.sub(r'\\["tn\\]', lambda escape: _ESCAPES[escape[0]], text)

    def field(match: re.Match[str]) -> Field | str:
        of, name = match["of"], match["name"]
        if name == "%":
            return "%"
        if of is None:
            return _APACHE.get(name, Field(f"%{name}"))
        if name in _APACHE_NAMED:
            prefix, kind = _APACHE_NAMED[name]
            return Field(prefix + (of.lower() if name == "i" else of), kind)
        if name == "T" and of in {"s", "ms", "us"}:
            return Field("duration", "duration", _NS[of])
        if name == "t":
            return _time(of)
        return Field("request_id" if of == "UNIQUE_ID" else f"%{{{of}}}{name}")

    # %t writes its brackets itself.
    text = re.sub(r"(%[!,\d<>]*t)", r"[\1]", text)
    return _format(name, text, _DIRECTIVE, field, START, **told)


def _time(of: str) -> Field:
    where, colon, unit = of.rpartition(":")
    stamp = {"begin": START, "end": END, "": START}.get(where)
    if unit in _TIMES and stamp is not None and (where or not colon):
        return Field("time", "epoch", _NS[_TIMES[unit]], stamp)
    raise InvalidArgument(
        f"%{{{of}}}t is not read", "%t, or %{sec}t, %{msec}t or %{usec}t, with begin: or end:"
    )


def _format(
    name: str,
    text: str,
    marks: re.Pattern[str],
    field: _Reader,
    stamp: str,
    **told: Unpack[FormatNotes],
) -> Format:
    """Cut a text at its fields."""
    prefix, fields = "", list[tuple[Field, str]]()
    for literal, found in _cut(text, marks, field):
        if fields:
            fields[-1] = fields[-1][0], fields[-1][1] + literal
        else:
            prefix += literal
        if found is not None:
            fields.append((found, ""))
    return pattern(name, prefix, fields, stamp, **told)


def _cut(text: str, marks: re.Pattern[str], field: _Reader) -> Iterator[tuple[str, Field | None]]:
    """Each literal, and the field behind it."""
    at = 0
    for match in marks.finditer(text):
        found = field(match)
        literal, at = text[at : match.start()], match.end()
        yield (literal + found, None) if isinstance(found, str) else (literal, found)
    yield text[at:], None
