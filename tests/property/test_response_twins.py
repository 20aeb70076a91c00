"""The native engine reads answers as the threads transport does, or refuses them."""

import http.client
import io
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rateproof.simulate.transports.headers import parse_ratelimit, parse_retry_after

from rateproof import _native


@dataclass(frozen=True)
class Seen:
    """What is seen of an answer; `kept`: another request may follow on its connection."""

    status: int
    size: int
    retry_after_s: float | None
    remaining: int | None
    reset_s: float | None
    kept: bool


class Reading(http.client.HTTPResponse):
    """Skips interim answers, of which http.client itself only knows 100."""

    def _read_status(self):
        while True:
            version, status, reason = super()._read_status()
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)


class Wire(io.BytesIO):
    """A socket, and the file of it that http.client reads from and closes."""

    def makefile(self, _mode: str) -> "Wire":
        return self

    def close(self) -> None:
        pass


def specified(answer: bytes, method: str) -> Seen | None:
    """What Python makes of an answer; None where it fails."""
    wire = Wire(answer)
    response = Reading(wire, method=method)
    try:
        response.begin()
        closing = response.will_close or response.status == http.client.SWITCHING_PROTOCOLS
        size = len(response.read())
    except http.client.HTTPException:
        return None
    fields = response.headers
    joined = {
        name: ", ".join(fields.get_all(name)) if name in fields else None
        for name in ("Retry-After", "Date", "RateLimit")
    }
    remaining, reset_s = parse_ratelimit(joined["RateLimit"])
    return Seen(
        response.status,
        size,
        parse_retry_after(joined["Retry-After"], joined["Date"]),
        remaining,
        reset_s,
        not closing and not wire.read(),
    )


def native(pieces: list[bytes], method: str, *, ended: bool = False) -> tuple[str | None, Seen]:
    fault, status, size, retry_after_s, remaining, reset_s, complete, kept, _ = (
        _native.parse_response(pieces, method == "HEAD", ended)
    )
    if not complete and fault is None:
        fault = "incomplete"
    return fault, Seen(status or 0, size, retry_after_s, remaining, reset_s, kept)


NOW = "Sun, 06 Nov 1994 08:49:37 GMT"
dates = st.datetimes().flatmap(
    lambda moment: st.sampled_from(
        [
            f"Mon, {moment:%d %b} {moment.year:04} {moment:%H:%M:%S} GMT",
            f"Wednesday, {moment:%d-%b-%y %H:%M:%S} GMT",
            f"Thu {moment:%b} {moment.day:2} {moment:%H:%M:%S} {moment.year:04}",
        ]
    )
)
waits = st.one_of(
    st.integers(0, 10**16).map(str),
    st.from_regex(r"[ \t]?[0-9]{1,16}(\.[0-9]{0,10})?[ \t]?", fullmatch=True),
    dates,
    st.sampled_from(["soon", "-1", "5, 5", "1e3"]),
)
quotas = st.lists(
    st.from_regex(r'"a[,;]?\\?";[rt]=[0-9]{1,16}(;[rt] ?= ?[0-9]{1,3}\.?)?', fullmatch=True),
    max_size=3,
).map(", ".join)
chunks = st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from(["", ";a", ';b="c;d"', " "]))
token = st.text("abcXYZ-09_", min_size=1, max_size=12)


@st.composite
def answers(draw) -> tuple[bytes, str, bool]:
    """A good answer, the method it answers, and whether only the connection's end ends it."""
    method = draw(st.sampled_from(["GET", "HEAD"]))
    status = draw(st.sampled_from([200, 200, 204, 302, 304, 404, 429, 503]))
    version = draw(st.sampled_from(["1.1", "1.1", "1.0"]))
    interim = draw(st.lists(st.sampled_from([100, 102, 103]), max_size=3))
    framings = ["length", "close"] + ["chunked"] * (version == "1.1" and status not in {204, 304})
    framing = draw(st.sampled_from(framings))
    fields = [("X-" + draw(token), draw(token)) for _ in range(draw(st.integers(0, 3)))]
    connection = draw(st.sampled_from([None, "close", "keep-alive", "Keep-Alive, x", "x, Close"]))
    optional = [
        ("Connection", connection),
        ("Retry-After", draw(st.none() | waits)),
        ("RateLimit", draw(st.none() | quotas)),
        ("ratelimit", draw(st.none() | quotas)),
    ]
    fields += [("Date", NOW), *((name, value) for name, value in optional if value is not None)]
    body = draw(st.binary(max_size=60))
    if framing == "length":
        fields.append(("Content-Length", str(len(body))))
    elif framing == "chunked":
        fields.append(("Transfer-Encoding", draw(st.sampled_from(["chunked", "Chunked"]))))
        parts = draw(st.lists(chunks, max_size=4))
        trailer = draw(st.sampled_from([b"", b"Sum: 1\r\n", b"Sum: 1\r\nMore: 2\r\n"]))
        body = b"".join(f"{len(part):x}{e}\r\n".encode() + part + b"\r\n" for part, e in parts)
        body += b"0\r\n" + trailer + b"\r\n"
    bodiless = method == "HEAD" or status in {204, 304}
    head = "".join(f"HTTP/1.1 {code} Wait\r\nX: y\r\n\r\n" for code in interim)
    head += f"HTTP/{version} {status} {draw(token)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in draw(st.permutations(fields)))
    answer = (head + "\r\n").encode() + (b"" if bodiless else body)
    return answer, method, framing == "close" and not bodiless


def pieces_of(answer: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(answer), *(cut % (len(answer) + 1) for cut in cuts)})
    return [answer[start:end] for start, end in pairwise(edges)]


@given(answer=answers(), cuts=st.lists(st.integers(0, 10**6), max_size=6))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_a_good_answer_is_read_as_python_reads_it(answer, cuts):
    text, method, ended = answer
    fault, seen = native(pieces_of(text, cuts), method, ended=ended)
    assert fault is None
    assert seen == specified(text, method)


@given(
    answer=answers(),
    place=st.integers(0, 10**6),
    length=st.integers(0, 3),
    patch=st.sampled_from(
        [b"", b"\r", b"\n", b"\r\n", b" ", b":", b",", b";", b"0", b"9", b"\0", b"\xff", b"x"]
    ),
)
@settings(max_examples=1000, deadline=None, derandomize=True)
def test_a_damaged_answer_is_refused_or_read_as_python_reads_it(answer, place, length, patch):
    text, method, _ = answer
    place %= len(text) + 1
    text = text[:place] + patch + text[place + length :]
    fault, seen = native([text], method, ended=True)
    expected = specified(text, method)
    assert fault is not None or (seen.status, seen.size) == (expected.status, expected.size)


@given(answer=answers(), place=st.integers(0, 10**6))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_cut_answer_is_never_taken_for_a_whole_one(answer, place):
    text, method, ended = answer
    head = text.rindex(b"\r\n\r\n", 0, None) if not ended else text.index(b"\r\n\r\n")
    cut = text[: place % max(1, min(head, len(text)))]
    fault, seen = native([cut], method, ended=True)
    whole = specified(text, method)
    assert fault == "closed" or (fault is None and seen.size == whole.size)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\nX: y", "closed"),
        (b"SSH-2.0-x\r\n", "protocol"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", "oversized"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "oversized"),
        (b"y" * 70_000, "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", "closed"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * ((1 << 20) + 1), "oversized"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "protocol"),
    ],
)
def test_each_kind_of_bad_answer_has_its_fault(answer: bytes, fault: str) -> None:
    assert native([answer], "GET", ended=True)[0] == fault
    assert native([bytes([byte]) for byte in answer[:70_100]], "GET", ended=True)[0] in {
        fault,
        None if fault == "oversized" else fault,
    }


odd = st.text('"\\;,rt= \t\n0123456789.ab\xff', max_size=50)


@given(st.one_of(odd, quotas, st.lists(st.sampled_from([";r=1", ';"', ',"', "t=2", ";t= 3"]))))
@settings(max_examples=1000, deadline=None, derandomize=True)
def test_ratelimit_is_read_as_specified(value):
    value = "".join(value)
    assert _native.parse_ratelimit(value.encode("latin-1")) == parse_ratelimit(value)


@st.composite
def damaged_dates(draw) -> str:
    text = draw(dates)
    place = draw(st.integers(0, len(text)))
    patch = draw(st.text(" ,:-019JanGMTfebx\t", max_size=2))
    return text[:place] + patch + text[place + draw(st.integers(0, 2)) :]


@given(value=st.one_of(waits, odd, dates, damaged_dates()), date=dates | damaged_dates())
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_retry_after_is_read_as_specified(value, date):
    found = _native.parse_retry_after(value.encode("latin-1"), date.encode("latin-1"))
    expected = parse_retry_after(value, date)
    if found != expected:  # counted from now, which moves on
        assert found == pytest.approx(expected, abs=60)
        assert parse_retry_after(date) is None


def test_a_date_without_the_servers_own_counts_from_now():
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1000))
    assert _native.parse_retry_after(soon.encode()) == pytest.approx(1000, abs=100)
    assert _native.parse_retry_after(NOW.encode()) == 0
