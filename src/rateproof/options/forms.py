"""The kinds of what is told to several verbs: policies, keys, headers, bodies, status codes."""

import re
from dataclasses import replace
from fractions import Fraction
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from rateproof.errors import InvalidArgument, told_by
from rateproof.keyfile import KeyFile
from rateproof.keyspec import KeySpec
from rateproof.options.kinds import Leaf, Pairs, Series, any_case, duration, number, text, whole
from rateproof.policy import Policy
from rateproof.secret import MOST_BYTES, Secret, bytes_of, lines_of, revealed
from rateproof.units import MAX_DURATION_NS, SECOND_NS

MOST_DATA: Final = MOST_BYTES
"""Bytes of a body, at most."""

_TCHAR = r"[A-Za-z0-9!#$%&'*+.^_`|~-]"  # as in RFC 9110
FRAMING: Final = (
    *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
)
"""Headers that frame a message or belong to one connection: none of them can be chosen."""

_STATUS_FORM = "status codes from 100 to 999, each once, such as 403 or 429,503"

_NAME = "[A-Za-z0-9_.-]{1,64}"
_NAME_FORM = "letters, digits, dots, hyphens and underscores, at most 64"
_HOPS = whole(0, 1_000, of="networks, such as 10.0.0.0/8,unix:, or a whole number")
_RATE = number(0, 1e6, open_below=True, of="requests a second")
# CONNECT asks for no resource. RFC 9110 section 9.1 tells methods apart by case; Requests does not,
# so small letters are out.
_METHOD = r"(?!CONNECT$)[A-Z0-9!#$%&'*+.^_`|~-]{1,32}"
_TO_WRITE_FORM = "query:NAME, header:NAME, cookie:NAME, path:2 or json:NAME"
_SIZE_FORM = "a size, such as 500MB or 4GiB"
_ON_FORM = "dask (workers on this machine), or a Dask scheduler such as tcp://10.0.0.1:8786"
_SHARE_FORM = "a percentage, such as 0.1%"
_PAIR_FORM = "NAME: VALUE, such as 'Accept: text/*'; VALUE or all: @FILE or @env:NAME"
_PARAMETER_FORM = "NAME=VALUE; VALUE: @FILE or @env:NAME, too"


class Data(NamedTuple):
    """A body, and the form that told it, such as `@FILE`; None: it was given as text."""

    body: bytes = b""
    form: str | None = None


def _data(text: str) -> Data:
    """The text, or what is in the file, or the variable, behind an @."""
    if not text.startswith("@"):
        return Data(text.encode("utf-8", "surrogateescape"))
    return Data(bytes_of(text), text)


def _shown(data: Data) -> str:
    """The word that gives the body again, where there is one: else its length."""
    if data.form is not None:
        return data.form
    text = data.body.decode("utf-8", "replace")
    is_word = text.encode() == data.body and not text.startswith("@") and "\0" not in text
    return text if is_word else f"[not shown: {len(data.body)} bytes]"


def _hold_body(body: Any) -> None:
    if not isinstance(body, bytes):
        raise InvalidArgument(f"it is of type {type(body).__name__}", "bytes")
    if len(body) > MOST_DATA:
        raise InvalidArgument(f"{len(body)} bytes", f"at most {MOST_DATA} (1 MiB)")


def _body(value: str | bytes | Data) -> Data:
    if isinstance(value, str):
        try:
            value = value.encode()
        except UnicodeEncodeError:
            raise InvalidArgument("text that UTF-8 cannot encode", "bytes, or other text") from None
    data = value if isinstance(value, Data) else Data(value)
    _hold_body(data.body)
    return data


def _url_or_path(value: str) -> str:
    if not value.startswith(("/", "http")):
        raise InvalidArgument(f"{value!r} is neither a URL nor a path", f"{URL.form}, or /PATH")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise InvalidArgument(f"{value!r:.80} is not a name", _NAME_FORM)
    return value


def _method(value: str) -> str:
    if not re.fullmatch(_METHOD, value):
        raise InvalidArgument(
            f"{value!r} is not a method", "such as GET, HEAD or POST, in capital letters"
        )
    return value


def _rate(value: float) -> float:
    rate: float = _RATE.parse(value)
    if SECOND_NS / rate >= MAX_DURATION_NS:
        raise InvalidArgument(f"{value} is out of range", "at least one in 73 years")
    return rate


def _share(text: str) -> Fraction:
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s*%", text.strip(), re.ASCII)
    if found is None or Fraction(found[1]) > 100:
        raise InvalidArgument(f"{text!r} is not a share of all requests", _SHARE_FORM)
    return Fraction(found[1]) / 100


def _size(text: str) -> int:
    found = re.fullmatch(
        r"\s*(\d{1,12}(?:\.\d{1,9})?)\s*([kmgt]i?)?b?\s*", text, re.ASCII | re.IGNORECASE
    )
    size = 0
    if found is not None:
        unit = (found[2] or "").lower()
        size = int(
            float(found[1]) * (1024 if "i" in unit else 1000) ** " kmgt".index(unit[:1] or " ")
        )
    if not size:
        raise InvalidArgument(f"{text!r} is no size", _SIZE_FORM)
    return size


def _on(text: str) -> str:
    if not re.fullmatch(
        r"dask|(tcp|tls)://(\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):[0-9]{1,5}", text, re.ASCII
    ):
        raise InvalidArgument(f"{text!r} is no cluster", _ON_FORM)
    return text


def _windows(text: str) -> tuple[int, ...]:
    windows = sorted(
        {duration(1_000_000, MAX_DURATION_NS - 1).read_text(one) for one in text.split(",")}
    )
    return tuple(windows)


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    """Headers, one or those of a file; they are checked where the scenario is made."""
    if text.startswith("@"):
        found = []
        for number, line in enumerate(lines_of(text).split("\n"), 1):
            name, colon, value = line.partition(":")
            if line.strip() and not (colon and name.strip()):
                raise InvalidArgument(f"line {number} of {text!r} is not a header", "NAME: VALUE")
            if colon:
                found.append((name, Secret(value.strip(" \t"), text, line=True)))
        return tuple(found)
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidArgument("a header without NAME: before its value", _PAIR_FORM)
    with told_by(f"header {name!r}"):
        return ((name, revealed(value.strip(" \t"))),)


def _shown_header(pair: tuple[str, str]) -> str:
    name, value = pair
    if isinstance(value, Secret):
        return value.form if value.line else f"{name}: {value.form}"
    return f"{name}: {'@' if value.startswith('@') else ''}{value}"


def _parameter(text: str) -> tuple[tuple[str, str], ...]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidArgument("a parameter without a name or =", _PARAMETER_FORM)
    with told_by(f"parameter {name!r}"):
        return ((name, revealed(value)),)


def _shown_parameter(pair: tuple[str, str]) -> str:
    name, value = pair
    if isinstance(value, Secret):
        return f"{name}={value.form}"
    return f"{name}={'@' if value.startswith('@') else ''}{value}"


def merged(
    pairs: tuple[tuple[str, str], ...], told: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Headers or parameters with those that were told otherwise, by name."""
    replaced = {name.lower() for name, _ in told}
    return (*(pair for pair in pairs if pair[0].lower() not in replaced), *told)


def _codes(text: str) -> list[int]:
    codes = [code.strip() for code in text.split(",")]
    for place, code in enumerate(codes):
        if not re.fullmatch("[1-9][0-9][0-9]", code) or code in codes[:place]:
            within = "" if text == code else f"{text!r}: "
            twice, strange = f"{code} is there twice", f"{code!r} is not a status code"
            wrong = twice if code in codes[:place] else strange
            raise InvalidArgument(f"{within}{wrong}", _STATUS_FORM)
    return list(map(int, codes))


def _to_write(text: str) -> KeySpec:
    try:
        key = KeySpec.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, _TO_WRITE_FORM) from None
    _ = key.writable
    return key


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _hops(text: str) -> Any:
    return _HOPS.read_text(text) if text.lstrip("-").isalnum() else _list(text)


def _file_name(value: str) -> str:
    if not value or "\0" in value:
        raise InvalidArgument(f"{value!r} is not the name of a file", "certificates in PEM")
    return value


POLICY: Final = text(
    Policy.parse,
    form="a policy, such as '5 per 5s' or '5/s; 1000 per hour'",
    metavar="POLICY",
    pattern=r"[0-9]\s*(/|[Pp][Ee][Rr])\s*[0-9]*\s*[A-Za-z]",
)
KEY: Final = text(
    KeySpec.to_read,
    form="ip, path, path:2, method, query:NAME, header:NAME or cookie:NAME, joined by + (both) or | (else)",
    metavar="KEY",
)
KEY_OF_LOG: Final = text(
    partial(KeySpec.to_read, of_log=True), form=f"{KEY.form}; field:NAME", metavar="KEY"
)
KEY_TO_WRITE: Final = text(
    _to_write,
    form=_TO_WRITE_FORM,
    metavar="KEY",
    pattern=r"((query|header|cookie|json):[A-Za-z0-9!#$%&'*.^_`~-]|path:[1-9])",
)
KEYS: Final = replace(
    text(KeyFile.read, form="a text file with one identity or token a line", metavar="FILE"),
    shown=attrgetter("file"),
    located="",
)
URL: Final = text(
    form="http://HOST[:PORT][/PATH], or https",
    metavar="URL",
    pattern=rf"^{any_case('http')}[Ss]?://[!-~]+$",
)
URL_OR_PATH: Final = text(
    _url_or_path,
    form=f"{URL.form}, or /PATH",
    metavar="URL",
    pattern=rf"^({any_case('http')}[Ss]?:/)?/[!-~]*$",
)
METHOD: Final = text(
    _method, form="a method in capital letters", metavar="NAME", pattern=f"^{_METHOD}$"
)
BODY: Final = Leaf(
    (str, bytes),
    {"type": "string", "maxLength": MOST_DATA},
    _body,
    "text or bytes",
    "TEXT|@FILE|@env:NAME",
    _data,
    _shown,
    inside=_hold_body,
    located="@",
)
HEADER: Final = Pairs(
    {
        "type": "object",
        "propertyNames": {
            "pattern": f"^(?!({'|'.join(map(any_case, FRAMING))})$){_TCHAR}{{1,256}}$"
        },
        "maxProperties": 100,
        "additionalProperties": {
            "type": "string",
            "pattern": "^([!-~\u0080-\u00ff]([\t -~\u0080-\u00ff]*[!-~\u0080-\u00ff])?)?$",
            "maxLength": 8192,
        },
    },
    _PAIR_FORM,
    "'NAME: VALUE'",
    _headers,
    _shown_header,
)
QUERY: Final = Pairs(
    {"type": "object", "additionalProperties": {"type": "string"}},
    _PARAMETER_FORM,
    "NAME=VALUE",
    _parameter,
    _shown_parameter,
)
STATUSES: Final = Series(whole(100, 999), 1, frozenset, _STATUS_FORM, "STATUSES", _codes)
RATE: Final = replace(_RATE, parse=_rate)
SHARE: Final = text(_share, form=_SHARE_FORM, metavar="PERCENT")
SIZE: Final = text(_size, form=_SIZE_FORM, metavar="SIZE")
ON: Final = text(_on, form=_ON_FORM, metavar="CLUSTER")
WINDOWS: Final = text(_windows, form="durations, such as 1s,1m,1h", metavar="TIMES")
TOLERANCE: Final = whole(0, 100_000, of="parts per million, such as 500ppm,", unit="ppm")
FILE: Final = replace(
    text(_file_name, form="the name of a file", metavar="FILE", pattern="."), located=""
)
FOLDER: Final = replace(text(Path, form="a folder", metavar="DIR"), located="")
NEW_FILE: Final = replace(text(Path, form="a file to write", metavar="FILE"), located="")
IN_TOML: Final = text(form="a file in TOML", metavar="FILE")
NAME: Final = text(_name, form=_NAME_FORM, metavar="NAME", pattern=f"^{_NAME}$")
PATHS: Final = text(_list, form="paths, such as /a,/b", metavar="PATHS")
NETWORKS: Final = text(_list, form="networks, such as 10.0.0.0/8, or all", metavar="NETWORKS")
PROXIES: Final = text(_hops, form="how many, or networks, such as 10.0.0.0/8,unix:", metavar="HOPS")
