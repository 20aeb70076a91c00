"""The table of known formats: each with its source, and where its stamps lie."""

from typing import Final

from rateproof.errors import InvalidArgument
from rateproof.events.access_logs.notations import apache, nginx, of_text
from rateproof.events.access_logs.pattern import (
    EITHER,
    END,
    START,
    Field,
    Format,
    object_of,
    pattern,
)

_COMMON = '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'
_COMBINED = f'{_COMMON} "$http_referer" "$http_user_agent"'
_EITHER_TIME = {
    "remote_addr": Field("ip"),
    "logname": Field("logname"),
    "time_local": Field("time", "clf"),
}
_NGINX_DOCS = "nginx.org/en/docs/http/ngx_http_log_module.html"
_APACHE_DOCS = "httpd.apache.org/docs/2.4/mod/mod_log_config.html"
_APACHE_COMMON = '%h %l %u %t \\"%r\\" %>s %b'
_MS, _S = 1_000_000, 1_000_000_000

_HAPROXY = (
    "$client [$accept_date] $frontend $backend $tr/$tw/$tc/$tresponse/$ta $status $bytes_read "
    '$request_cookie $response_cookie $termination $connections $queues "$request"'
)
_ENVOY = (
    '[$start_time] "$method $path $protocol" $status $flags $received $sent $duration '
    '$upstream_time "$http_x_forwarded_for" "$http_user_agent" "$request_id" "$authority" '
    '"$upstream_host"'
)
_TRAEFIK = (
    '$remote_addr - $remote_user [$start_time] "$request" $status $size "$http_referer" '
    '"$http_user_agent" $count "$router" $server ${took}ms'
)
_ALB = (
    "$type $time $elb $client $target $request_processing $target_processing "
    "$response_processing $status $target_status $received $sent "
    '"$request" "$http_user_agent" $cipher $protocol $target_group "$trace_id" "$domain" '
    '"$certificate" $rule_priority $creation_time "'
)

FORMATS: Final[dict[str, Format]] = {
    each.name: each
    for each in (
        nginx("nginx", _COMBINED, source=_NGINX_DOCS, sample="nginx"),
        nginx(
            "nginx-main",
            f'{_COMBINED} "$http_x_forwarded_for"',
            source="nginx.conf as nginx.org packages it",
            sample="nginx",
        ),
        apache(
            "apache",
            f'{_APACHE_COMMON} \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"',
            source=_APACHE_DOCS,
            sample="Apache",
        ),
        apache("apache-common", _APACHE_COMMON, source=_APACHE_DOCS, sample="Apache"),
        nginx(
            "combined",
            _COMBINED.replace(" - ", " $logname "),
            _EITHER_TIME,
            source="nginx's or Apache's, whose lines look the same",
            sample="nginx, Apache",
        ),
        nginx(
            "common",
            _COMMON.replace(" - ", " $logname "),
            _EITHER_TIME,
            source="www.w3.org/Daemon/User/Config/Logging.html; Apache's, or another server's",
            sample="Apache",
        ),
        nginx(
            "haproxy",
            _HAPROXY,
            {
                "client": Field("ip:port"),
                "accept_date": Field("time", "clf", stamp=START),
                "ta": Field("duration", "duration", _MS),
            },
            source="docs.haproxy.org, configuration manual, 8.2.3 HTTP log format",
            sample="HAProxy",
        ),
        nginx(
            "envoy",
            _ENVOY,
            {
                "start_time": Field("time", "iso", stamp=START),
                "method": Field("method"),
                "path": Field("path"),
                "duration": Field("duration", "duration", _MS),
            },
            source="www.envoyproxy.io/docs, access logging, default format string",
            escaped=False,
            sample="Envoy",
        ),
        nginx(
            "traefik",
            _TRAEFIK,
            {
                "start_time": Field("time", "clf", stamp=START),
                "took": Field("duration", "duration", _MS),
            },
            source="doc.traefik.io/traefik/observability/access-logs, common format",
            sample="its users' reports",
        ),
        nginx(
            "alb",
            _ALB,
            {
                "time": Field("time", "iso", stamp=END),
                "client": Field("ip:port"),
                "creation_time": Field("began", "began"),
            },
            source="docs.aws.amazon.com, load-balancer-access-logs, access log entries",
            open=True,
            sample="vendor's document",
        ),
        object_of(
            "caddy",
            (
                (Field("time", "instant", _S), "ts"),
                (Field("ip"), "request.remote_ip"),
                (Field("client_ip"), "request.client_ip"),
                (Field("method"), "request.method"),
                (Field("host"), "request.host"),
                (Field("path"), "request.uri"),
                (Field("status", "status"), "status"),
                (Field("duration", "duration", _S), "duration"),
                (Field("user"), "user_id"),
                (Field("header:*"), "request.headers.*.0"),
            ),
            END,
            source="caddyserver.com/docs/logging, caddyserver.com/docs/caddyfile/directives/log",
            sample="fields of the document",
        ),
        object_of(
            "traefik-json",
            (
                (Field("time", "instant", _S), "StartUTC"),
                (Field("ip"), "ClientHost"),
                (Field("method"), "RequestMethod"),
                (Field("host"), "RequestHost"),
                (Field("path"), "RequestPath"),
                (Field("status", "status"), "DownstreamStatus"),
                (Field("duration", "duration", 1), "Duration"),
                (Field("user"), "ClientUsername"),
                (Field("router"), "RouterName"),
                (Field("header:*"), "request_*"),
            ),
            START,
            source="doc.traefik.io/traefik/observability/access-logs, JSON format",
            sample="fields in its users' reports",
        ),
        object_of(
            "envoy-json",
            (
                (Field("time", "instant", _S), "start_time"),
                (Field("ip:port"), "downstream_remote_address"),
                (Field("method"), "method"),
                (Field("path"), "path"),
                (Field("status", "status"), "response_code"),
                (Field("duration", "duration", _MS), "duration"),
                (Field("flags"), "response_flags"),
                (Field("authority"), "authority"),
                (Field("header:x-forwarded-for"), "x_forwarded_for"),
                (Field("header:user-agent"), "user_agent"),
                (Field("request_id"), "request_id"),
            ),
            START,
            source="istio.io/latest/docs/tasks/observability/logs/access-log, default JSON",
            sample="Envoy",
        ),
    )
}
"""By name; those that lines show come in the order in which they are tried."""

_TRIED: Final = (
    "traefik",
    "nginx-main",
    "combined",
    "common",
    "envoy",
    "haproxy",
    "alb",
    "caddy",
    "traefik-json",
    "envoy-json",
)

_W3C: Final = {
    "date": Field("time", "day"),
    "time": Field("time", "clock"),
    "c-ip": Field("ip"),
    "cs-method": Field("method"),
    "cs-uri-stem": Field("path"),
    "cs-uri-query": Field("query"),
    "sc-status": Field("status", "status"),
    "x-forwarded-for": Field("header:x-forwarded-for"),
    "x-edge-request-id": Field("request_id"),
}


def w3c(fields: str) -> Format:
    """The format that a line `#Fields: ...` of IIS or CloudFront describes.

    CloudFront stamps the end (time-taken in seconds), IIS does not say which (in milliseconds).

    Raises:
        InvalidArgument: it has no time, no date or no status.
    """
    names = fields.split()
    if "time" in names and "date" not in names:
        raise InvalidArgument("#Fields has time and no date", "let the server log the date too")
    cloudfront = any(name.startswith("x-edge-") for name in names)
    known = _W3C | {"time-taken": Field("duration", "duration", _S if cloudfront else _MS)}
    told = []
    for name in names:
        header = name[3:-1].lower() if name.startswith("cs(") and name.endswith(")") else None
        told.append(known.get(name, Field(f"header:{header}" if header else name)))
    parting = "\t" if cloudfront else " "
    untils = [parting] * (len(told) - 1) + [""]
    return pattern(
        "cloudfront" if cloudfront else "iis",
        "",
        zip(told, untils, strict=True),
        END if cloudfront else EITHER,
    )


def named(text: str) -> Format:
    """The format of this name, or that a string of nginx or Apache describes.

    Raises:
        InvalidArgument: there is no such format.
    """
    if text in FORMATS:
        return FORMATS[text]
    try:
        return of_text(text)
    except InvalidArgument as error:
        hint = (
            f"{error.hint}; or one of {', '.join(FORMATS)}"
            if " is not a format" in error.message
            else error.hint
        )
        raise InvalidArgument(error.message, hint) from error


def recognised() -> list[Format]:
    """Formats to try on a line, the most particular first."""
    return [FORMATS[name] for name in _TRIED]
