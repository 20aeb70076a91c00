"""The format of a scenario file: the one description that reading and the schema come from."""

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec, Part
from rateproof.options.kinds import (
    Field,
    Pairs,
    Series,
    Table,
    any_case,
    duration,
    flag,
    number,
    text,
    whole,
)
from rateproof.policy import Policy
from rateproof.simulate.identities import FRAMING
from rateproof.simulate.request import (
    MAX_BODY,
    MAX_HEADERS,
    check_body,
    check_headers,
    check_method,
)
from rateproof.simulate.scenario import MAX_CLIENTS
from rateproof.simulate.scenario_file.groups import CLIENTS
from rateproof.simulate.target import Target
from rateproof.units import SECOND_NS

__all__ = ["SCENARIO"]

_HOUR_NS = 3_600 * SECOND_NS
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]"  # noqa: S105 - RFC 9110's word for it
_ANY_KEY = Part("query", "")


def _check_header(name: str, value: str) -> None:
    check_headers(((name, value),), _ANY_KEY)


def _header_names() -> str:
    framing = "|".join(any_case(name) for name in sorted(FRAMING))
    return f"^(?!({framing})$){_TOKEN}{{1,256}}$"


def _method(value: str) -> str:
    check_method(value)
    return value


def _body(value: str) -> bytes:
    check_body(value.encode())
    return value.encode()


def _statuses(values: list[int]) -> frozenset[int]:
    return frozenset(values)


def _file_name(value: str) -> str:
    if not value or "\0" in value:
        raise InvalidArgument(f"{value!r} is not the name of a file", "certificates in PEM")
    return value


SCENARIO = Table(
    fields={
        "url": Field(
            text(Target.parse, pattern=rf"^{any_case('http')}[Ss]?://[!-~]+$"),
            "where the requests go",
            "target",
        ),
        "duration": Field(duration(), "how long; left out: until stopped", "duration_ns"),
        "seed": Field(
            whole(0, 2**63 - 1), "of the schedule; left out: random, and printed", "seed"
        ),
        "policy": Field(
            text(Policy.parse, pattern=r"[0-9]\s*(/|[Pp][Ee][Rr])\s*[0-9]*\s*[A-Za-z]"),
            "what the server promises, and attackers aim at",
            "policy",
        ),
        "key": Field(
            text(
                lambda value: KeySpec.parse(value).writable,
                pattern=r"(query|header|cookie):[A-Za-z0-9!#$%&'*.^_`~-]",
            ),
            "where in a request the identity of its client is put",
            "key",
        ),
        "method": Field(
            text(_method, pattern=r"^(?!CONNECT$)[A-Z0-9!#$%&'*+.^_`|~-]{1,32}$"),
            "of every request; left out: GET",
            "method",
        ),
        "headers": Field(
            Pairs(
                {
                    "type": "object",
                    "propertyNames": {"pattern": _header_names()},
                    "maxProperties": MAX_HEADERS,
                    "additionalProperties": {
                        "type": "string",
                        "pattern": "^([!-~\u0080-\u00ff]([\t -~\u0080-\u00ff]*[!-~\u0080-\u00ff])?)?$",
                        "maxLength": 8192,
                    },
                },
                _check_header,
            ),
            "of every request, by name",
            "headers",
        ),
        "body": Field(text(_body, most=MAX_BODY), "of every request, sent as UTF-8", "body"),
        "timeout": Field(
            duration(1_000_000, _HOUR_NS), "for a whole request; left out: 10s", "timeout_ns"
        ),
        "connect_timeout": Field(
            duration(1_000_000, _HOUR_NS),
            "for a connection and its TLS handshake; left out: the timeout",
            "connect_timeout_ns",
        ),
        "max_connections": Field(
            whole(1, MAX_CLIENTS), "open at once, of all clients together", "max_connections"
        ),
        "max_rate": Field(
            number(0, 1e6, open_below=True),
            "requests a second of all clients together, at most",
            "max_rate",
        ),
        "rejected": Field(
            Series(whole(100, 999), 1, _statuses),
            "status codes by which the limiter says no; left out: 429 and 503",
            "rejected_statuses",
        ),
        "ca_file": Field(
            text(_file_name, pattern="."),
            "certificates in PEM to trust instead of the system's; relative to this file",
            "ca_file",
        ),
        "insecure": Field(flag(), "accept any certificate", "insecure"),
        "lag_tolerance": Field(
            duration(1_000, _HOUR_NS),
            "a run whose generator lags more is invalid; left out: 10ms",
            "lag_tolerance_ns",
        ),
        "clients": Field(Series(CLIENTS, 1, tuple), "who sends", "groups", required=True),
    },
    make=dict,
)
