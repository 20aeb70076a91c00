"""A client of Envoy's rate limit service, by a real gRPC library, for tests."""

import socket

import grpc

METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
HEALTH = "/grpc.health.v1.Health/Check"
UNITS = {"second": 1, "minute": 2, "hour": 3, "day": 4, "month": 5, "year": 6, "week": 7}
OK, OVER_LIMIT = 1, 2

# Of HTTP/2 by hand: RFC 9113, section 6, and the head of a call by RFC 7541.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
HEAD = b"\x83\x86\x04%c%b\x0f\x10\x10application/grpc" % (len(METHOD), METHOD.encode())


def frame(kind, flags=0, stream=0, payload=b""):
    """One frame."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def frames(sock):
    """The frames that come, as (kind, flags, stream, payload), until the connection ends."""
    with sock.makefile("rb") as read:
        while head := read.read(9):
            payload = read.read(int.from_bytes(head[:3]))
            yield head[3], head[4], int.from_bytes(head[5:]), payload


def field(number, value):
    """One field of a message: a whole number, or text and messages by their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number):
    """A whole number in groups of 7 bits."""
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def read(message):
    """The fields of a message: each number, with its values."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = number()
        value = number()
        if tag & 7 == 2:
            value, at = message[at : at + value], at + value
        found.setdefault(tag >> 3, []).append(value)
    return found


def descriptor(*entries, limit=None, hits=None, negative=False):
    """A descriptor of pairs of key and value, with a limit or a hits_addend of its own."""
    message = b"".join(field(1, field(1, key) + field(2, value)) for key, value in entries)
    if limit is not None:
        message += field(2, field(1, limit[0]) + field(2, UNITS.get(limit[1], limit[1])))
    if hits is not None:
        message += field(3, field(1, hits))
    return message + (field(4, 1) if negative else b"")


def listens(port):
    """True if something listens at a port."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Answer:
    """A response: its code, statuses as (code, limit, remaining, seconds, name), and headers."""

    def __init__(self, message):
        fields = read(message)
        self.code = fields[1][0]
        self.statuses = [_status(read(each)) for each in fields.get(2, ())]
        headers = [read(each) for each in fields.get(3, ())]
        self.headers = {each[1][0].decode(): each[2][0].decode() for each in headers}


def _status(fields):
    limit = read(fields.get(2, [b""])[0])
    seconds = read(fields.get(4, [b""])[0]).get(1, [0])[0]
    name = limit.get(3, [b""])[0].decode()
    return fields[1][0], limit.get(1, [None])[0], fields.get(3, [0])[0], seconds, name


class Client:
    """Asks a service, at a port; `with` closes it."""

    def __init__(self, port, token=None, certificate=None):
        target = f"localhost:{port}"
        if certificate is None:
            self.channel = grpc.insecure_channel(target)
        else:
            self.channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(certificate))
        self.metadata = [] if token is None else [("authorization", f"Bearer {token}")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def send(self, message, method=METHOD, **options):
        """The bytes that come back for the bytes of a message."""
        call = self.channel.unary_unary(method)
        return call(message, metadata=self.metadata, timeout=60, wait_for_ready=True, **options)

    def ask(self, *descriptors, domain="shop", hits=0):
        """The answer to these descriptors."""
        message = field(1, domain) + b"".join(field(2, each) for each in descriptors)
        return Answer(self.send(message + field(3, hits)))

    def health(self, service=""):
        """1 where it serves."""
        return read(self.send(field(1, service), HEALTH))[1][0]
