"""The options that several verbs share, whole or with another help."""

from dataclasses import replace
from typing import Final

from rateproof.options import forms
from rateproof.options.kinds import Option, choice, duration, flag, text, whole

DEFAULT_POLICY: Final = "5 per 5s"
DEFAULT_URL: Final = "http://127.0.0.1:8080"
CLAIMS: Final = ("over-admission", "wrong-rejection", "headers", "limit", "all")
TRANSPORTS: Final = ("native", "threads")
SETTINGS_FILES: Final = ("rateproof.toml", "pyproject.toml")
"""Names of a settings file that is found by itself, the one that wins first."""

_HOUR_NS = 3_600_000_000_000
_INSTANT = text(form="an instant such as 2030-01-31T12:00:00+01:00", metavar="INSTANT")
COUNT = whole(1, 1_000_000)
TIMEOUT = duration(1_000_000, _HOUR_NS)

POLICY = Option(
    "policy", forms.POLICY, "such as '5 per 5s' or '5/s; 1000 per hour'", default=DEFAULT_POLICY
)
KEY = Option(
    "key",
    forms.KEY_TO_WRITE,
    "where identities go: query:NAME, json:NAME, path:2 ...",
    "query:clientId",
)
REJECTED = Option(
    "rejected",
    forms.STATUSES,
    "status codes by which the limiter says no, such as 403",
    "429,503",
    argument="rejected_statuses",
)
JSON = Option("json", flag(), "results as JSON on stdout")
JUNIT = Option("junit", forms.NEW_FILE, "the result as JUnit XML")
SEED = Option("seed", whole(0, 2**63 - 1), "of every draw", otherwise="random, and printed")
DURATION = Option("duration", duration(), "stop after it, such as 5m", otherwise="until stopped")
URL = Option("url", forms.URL, "where the requests go", DEFAULT_URL, positional=True)
SENDING = (
    URL,
    KEY,
    Option(
        "keys",
        forms.KEYS,
        "identities or tokens that the server knows, one a line",
        otherwise="identities are invented",
    ),
    Option("method", forms.METHOD, "of every request, in capital letters", "GET", short="X"),
    Option(
        "header", forms.HEADER, "one more of every request", key="headers", short="H", many=True
    ),
    Option("query", forms.QUERY, "one more parameter of the URL, shown nowhere", many=True),
    Option(
        "data",
        forms.BODY,
        "body of every request",
        "",
        otherwise="none",
        argument="data",
        key="body",
        short="d",
    ),
    Option("timeout", TIMEOUT, "for one answer", "10s"),
    REJECTED,
    Option(
        "max_rate",
        forms.RATE,
        "requests a second at most",
        otherwise="none, but 100 to another machine",
    ),
    Option(
        "cacert", forms.FILE, "certificates in PEM to trust instead of the system's", key="ca_file"
    ),
    Option("insecure", flag(), "accept any certificate", short="k"),
    Option(
        "transport", choice(*TRANSPORTS), "what sends", otherwise="native, but client.py: threads"
    ),
    Option("yes", flag(), "do not ask before sending to another machine"),
)
JUDGING = (
    Option(
        "admitted",
        forms.STATUSES,
        "redirects and client errors that lie behind the limiter, such as 401",
        otherwise="none",
        argument="admitted_statuses",
    ),
    Option("claim", choice(*CLAIMS), "what to judge, limit is the first two", "limit"),
    Option("count_denied", flag(), "denied requests use up the limit too", argument="denied_count"),
    Option("tolerance", forms.TOLERANCE, "drift of the clocks", "500ppm", key="tolerance_ppm"),
    Option(
        "granularity",
        duration(0, _HOUR_NS),
        "step of the server's clock: 1ms for nginx and HAProxy",
        "0s",
    ),
)
ADDRESS = (
    Option("proxies", forms.PROXIES, "trusted: how many, or networks (10.0.0.0/8,unix:)", "0"),
    Option("proxy_header", text(metavar="NAME"), "what they write", "X-Forwarded-For"),
    Option("ipv6_prefix", whole(1, 128), "how many bits of an IPv6 address count", "128"),
)
FLOOD_EXEMPT = Option("flood_exempt", forms.NETWORKS, "whose new clients get room without end", "")
CONFIG = Option(
    "config",
    forms.IN_TOML,
    "settings file",
    otherwise=f"{SETTINGS_FILES[0]}, or {SETTINGS_FILES[1]} with [tool.rateproof]",
)
LIMIT = Option(
    "limit", forms.NAME, "what is promised, by its name in FILE", otherwise="the only one"
)
ON = Option(
    "on",
    forms.ON,
    "who does the work: dask (processes on this machine), or a scheduler such as tcp://HOST:8786",
    otherwise="this process",
)
SENT_ON = replace(ON, help=f"who sends: {ON.help.partition(': ')[2]}")
FRESH_KEYS = Option("fresh_keys", flag(), "no key was used in the window before the log began")
ALLOW_UNTESTED = Option("allow_untested", flag(), "what was not tested does not fail it")

ACCESS_LOGS = (
    Option(
        "format",
        text(form="a format of access logs", metavar="FORMAT"),
        "a name such as nginx, or the server's log_format or LogFormat",
        otherwise="as the lines show",
    ),
    Option(
        "longest",
        duration(1),
        "how long a request lasts at most, where lines do not say it",
        otherwise="5s",
    ),
    Option("since", _INSTANT, "leave out what was decided before", otherwise="the first line"),
    Option("until", _INSTANT, "leave out what was decided then or later", otherwise="the last"),
    Option(
        "where",
        text(form="a condition on fields", metavar="CONDITION"),
        "the requests that the policy counts, such as 'path ~ ^/api/ and method = POST'",
        otherwise="all",
    ),
    *(replace(each, default=None, otherwise=each.default or "") for each in ADDRESS),
    Option(
        "skew",
        duration(0, _HOUR_NS),
        "files of other names are of other hosts, whose clocks are at most so far off the limiter's",
        otherwise="one host",
    ),
    Option("skip_bad", flag(), "leave out lines that are not understood, however many"),
)
