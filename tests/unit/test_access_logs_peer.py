"""The scanner and apachelogs, an independent reader of Apache's logs, on lines with odd bytes."""

import random
import re

import pytest
from apachelogs import InvalidEntryError, LogParser

from rateproof.events.access_logs import CLOCK_LAG_NS, Reading, named
from rateproof.events.access_logs.identity import unescaped
from rateproof.events.access_logs.reading import scanned
from tests.samples import quick_first

APACHE = named("apache")
PEER = LogParser('%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"')
BYTES = b'ab "\\-[]\n\t\x00\x80\xff%x'
DAMAGE = '\t\x80"\\ []-0'
LETTERS = {0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0B: "\\v", 0x0C: "\\f", 0x0D: "\\r"}

# What Apache never writes: bytes that it escapes, escapes that are none, a size such as 012, a status
# 0, as other servers have it, and another number of quotes than six.
NEVER = re.compile(r'[\x00-\x1f\x7f-\xff]|\\(?!x[0-9a-f]{2}|["\\bfnrtv])|" \S+ 0\d+ "|" 0 \S+ "')
QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
# What is a stamp, and a status with a size: apachelogs takes more for one.
STAMP = re.compile(r"\[\d\d/[A-Z][a-z]{2}/(19[7-9]|20)\d\d?:\d\d:\d\d:\d\d [+-]\d{4}\] ")
STATUS = re.compile(r'" ([1-9]\d\d|-|0|000) (\d+|-) "')


def escaped(value):
    """As Apache writes it (ap_escape_logitem)."""
    return "".join(
        "\\" + chr(byte)
        if byte in b'"\\'
        else LETTERS.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
        for byte in value
    )


def a_line(draw):
    def odd(before, after=b""):
        return escaped(before + bytes(draw.choices(BYTES, k=draw.randrange(6))) + after)

    def minute():
        return f"{draw.randrange(60):02}"

    return (
        f"192.0.2.{draw.randrange(256)} - {draw.choice(['-', 'joe', 'a b', 'a [b]', odd(b'j', b'e')])} "
        f"[{draw.randrange(1, 31):02}/Nov/2026:12:{minute()}:{minute()} +0100] "
        f'"{odd(b"GET /", b" HTTP/1.1")}" {draw.choice([200, 304, 429, 503])} '
        f'{draw.choice(["12", "-", "0"])} "{draw.choice(["-", odd(b"h")])}" "{odd(b"c", b"8")}"'
    )


def damaged(line, draw):
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.randrange(len(line))
        put, skipped = draw.choice([("", 1), (draw.choice(DAMAGE), 0), (draw.choice(DAMAGE), 1)])
        line = line[:at] + put + line[at + skipped :]
    return line


def ours(line):
    """Fields by name, stamp and status; None if the line is refused."""
    groups = [[at] for at in range(len(APACHE.fields))]
    found = scanned(APACHE, [line.encode("latin-1") + b"\n"], Reading(), groups)
    if not found["sent_ns"]:
        return None
    values = {
        field.name: None if word == b"-" else unescaped(word)
        for (field, _), (_, [word]) in zip(APACHE.fields, found["groups"], strict=True)
    }
    [sent_ns], [status] = (memoryview(found[name]).cast("q") for name in ("sent_ns", "status"))
    return values, sent_ns + CLOCK_LAG_NS, None if status == -(2**63) else status


def theirs(line):
    try:
        entry = PEER.parse(line)
    except (InvalidEntryError, ValueError):
        return None
    told = {
        "ip": entry.remote_host,
        "logname": entry.remote_logname,
        "user": entry.remote_user,
        "request": entry.request_line,
        "header:referer": entry.headers_in["Referer"],
        "header:user-agent": entry.headers_in["User-Agent"],
    }
    values = {
        name: None if value is None else value.encode("latin-1") for name, value in told.items()
    }
    return values, int(entry.request_time.timestamp()) * 10**9, entry.final_status or None


def bracketed(line):
    """True if the user has " [", which may be too much for apachelogs."""
    return line.partition('] "')[0].count(" [") > 1


def same(mine, other):
    return mine[1:] == other[1:] and all(mine[0][name] == other[0][name] for name in other[0])


@pytest.mark.parametrize(("seed", "lines"), quick_first([(1, 500), (2, 50_000)]))
def test_what_apache_writes_of_any_bytes_is_read_as_apachelogs_reads_it(seed, lines):
    draw = random.Random(seed)
    for _ in range(lines):
        line = a_line(draw)
        mine, other = ours(line), theirs(line)
        assert mine is not None, line
        assert other is not None or bracketed(line), line
        assert other is None or same(mine, other), line


@pytest.mark.parametrize(("seed", "lines"), quick_first([(3, 500), (4, 50_000)]))
def test_of_a_damaged_line_the_two_differ_only_where_apache_writes_none_such(seed, lines):
    draw = random.Random(seed)
    for _ in range(lines):
        line = damaged(a_line(draw), draw)
        mine, other = ours(line), theirs(line)
        if mine is None and other is not None:
            assert not STAMP.search(line) or not STATUS.search(line), line
        elif mine is not None and (other is None or not same(mine, other)):
            odd = NEVER.search(line) or len(QUOTE.findall(line)) != 6
            assert odd or bracketed(line), line
