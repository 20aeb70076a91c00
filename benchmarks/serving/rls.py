"""Load of Envoy's rate limit service: h2load, which sends one body, so one key."""

import re
import tempfile
from pathlib import Path

from simulating.programs import Missing, program, run

from serving.loads import Turn
from serving.servers import Server

RULES = """
domain: shop
descriptors:
- key: denied
  rate_limit: {unit: hour, requests_per_unit: 1}
- key: admitted
  rate_limit: {unit: hour, requests_per_unit: 1000000000}
"""
METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"


class H2load:
    """Calls about one key, on one connection with so many streams."""

    def __init__(self, server: Server, port: int, kind: str, streams: int = 64) -> None:
        self._server, self._port = server, port
        self._kind, self._streams = kind.encode(), streams

    def turn(self, seconds: int) -> Turn:
        """Run it for so long."""
        path = program("h2load", "apt install nghttp2-client")
        entry = _field(1, self._kind) + _field(2, b"client")
        message = _field(1, b"shop") + _field(2, _field(1, entry))
        with tempfile.NamedTemporaryFile() as body:
            body.write(b"\0" + len(message).to_bytes(4, "big") + message)
            body.flush()
            url = f"http://127.0.0.1:{self._port}{METHOD}"
            options = ("-D", str(seconds), "-c1", f"-m{self._streams}", "-d", body.name)
            head = ("-H", "content-type: application/grpc", "-H", "te: trailers")
            used_s = self._server.used_s()
            said = run([path, *options, *head, url], 60 + 2 * seconds).said
            used_s = self._server.used_s() - used_s
        count = re.search(r"(\d+) succeeded, 0 failed", said)
        rate = re.search(r"([\d.]+) req/s", said)
        if count is None or rate is None:
            raise Missing(f"{Path(path).name} says {said[-400:]!r}")
        return Turn(float(rate[1]), used_s / int(count[1]) * 1e6)


def _field(number: int, text: bytes) -> bytes:
    return bytes([number << 3 | 2, len(text)]) + text
