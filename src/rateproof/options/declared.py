"""Every verb and every option, each declared once.

The command line, the files, the environment, the JSON Schema, the pytest fixture, the
reference pages and the completion of shells all derive from this.
"""

from dataclasses import replace
from typing import Final

from rateproof.options.forms import (
    BODY,
    FILE,
    FOLDER,
    HEADER,
    IN_TOML,
    KEY,
    KEY_OF_LOG,
    KEY_TO_WRITE,
    KEYS,
    METHOD,
    NAME,
    NETWORKS,
    NEW_FILE,
    ON,
    PATHS,
    POLICY,
    PROXIES,
    QUERY,
    RATE,
    SHARE,
    SIZE,
    STATUSES,
    TOLERANCE,
    URL,
    WINDOWS,
)
from rateproof.options.kinds import (
    Option,
    choice,
    duration,
    flag,
    text,
    whole,
)
from rateproof.options.verb import Verb
from rateproof.registry import names_in

PROMISE: Final = "what is promised"
REQUEST: Final = "the request"
LENGTH: Final = "how long"
JUDGING: Final = "judging"
OUTPUT: Final = "output"
UNDER_TEST: Final = "the server under test"

DEFAULT_POLICY: Final = "5 per 5s"
DEFAULT_URL: Final = "http://127.0.0.1:8080"
CLAIMS: Final = ("over-admission", "wrong-rejection", "headers", "limit", "all")
TRANSPORTS: Final = ("native", "threads")
_BEHAVIOURS: Final = ", ".join(names_in("rateproof.simulate.behaviours"))
SETTINGS_FILES: Final = ("rateproof.toml", "pyproject.toml")
"""Names of a settings file that is found by itself, the one that wins first."""
SHELLS: Final = ("bash", "zsh", "fish")

_HOUR_NS = 3_600_000_000_000
_INSTANT = text(form="an instant such as 2030-01-31T12:00:00+01:00", metavar="INSTANT")
_COUNT = whole(1, 1_000_000)
_TIMEOUT = duration(1_000_000, _HOUR_NS)


_POLICY = Option(
    "policy", POLICY, "such as '5 per 5s' or '5/s; 1000 per hour'", default=DEFAULT_POLICY
)
_KEY = Option(
    "key", KEY_TO_WRITE, "where identities go: query:NAME, json:NAME, path:2 ...", "query:clientId"
)
_REJECTED = Option(
    "rejected",
    STATUSES,
    "status codes by which the limiter says no, such as 403",
    "429,503",
    argument="rejected_statuses",
)
_JSON = Option("json", flag(), "results as JSON on stdout")
_JUNIT = Option("junit", NEW_FILE, "the result as JUnit XML")
_SEED = Option("seed", whole(0, 2**63 - 1), "of every draw", otherwise="random, and printed")
_DURATION = Option("duration", duration(), "stop after it, such as 5m", otherwise="until stopped")
_URL = Option("url", URL, "where the requests go", DEFAULT_URL, positional=True)
_SENDING = (
    _URL,
    _KEY,
    Option(
        "keys",
        KEYS,
        "identities or tokens that the server knows, one a line",
        otherwise="identities are invented",
    ),
    Option("method", METHOD, "of every request, in capital letters", "GET", short="X"),
    Option("header", HEADER, "one more of every request", key="headers", short="H", many=True),
    Option("query", QUERY, "one more parameter of the URL, shown nowhere", many=True),
    Option(
        "data",
        BODY,
        "body of every request",
        "",
        otherwise="none",
        argument="data",
        key="body",
        short="d",
    ),
    Option("timeout", _TIMEOUT, "for one answer", "10s"),
    _REJECTED,
    Option(
        "max_rate", RATE, "requests a second at most", otherwise="none, but 100 to another machine"
    ),
    Option("cacert", FILE, "certificates in PEM to trust instead of the system's", key="ca_file"),
    Option("insecure", flag(), "accept any certificate", short="k"),
    Option(
        "transport", choice(*TRANSPORTS), "what sends", otherwise="native, but client.py: threads"
    ),
    Option("yes", flag(), "do not ask before sending to another machine"),
)
_JUDGING = (
    Option(
        "admitted",
        STATUSES,
        "redirects and client errors that lie behind the limiter, such as 401",
        otherwise="none",
        argument="admitted_statuses",
    ),
    Option("claim", choice(*CLAIMS), "what to judge, limit is the first two", "limit"),
    Option("count_denied", flag(), "denied requests use up the limit too", argument="denied_count"),
    Option("tolerance", TOLERANCE, "drift of the clocks", "500ppm", key="tolerance_ppm"),
    Option(
        "granularity",
        duration(0, _HOUR_NS),
        "step of the server's clock: 1ms for nginx and HAProxy",
        "0s",
    ),
)
_ADDRESS = (
    Option("proxies", PROXIES, "trusted: how many, or networks (10.0.0.0/8,unix:)", "0"),
    Option("proxy_header", text(metavar="NAME"), "what they write", "X-Forwarded-For"),
    Option("ipv6_prefix", whole(1, 128), "how many bits of an IPv6 address count", "128"),
)
_FLOOD_EXEMPT = Option("flood_exempt", NETWORKS, "whose new clients get room without end", "")
_CONFIG = Option(
    "config",
    IN_TOML,
    "settings file",
    otherwise=f"{SETTINGS_FILES[0]}, or {SETTINGS_FILES[1]} with [tool.rateproof]",
)
_LIMIT = Option("limit", NAME, "what is promised, by its name in FILE", otherwise="the only one")
_ON = Option(
    "on",
    ON,
    "who does the work: dask (processes on this machine), or a scheduler such as tcp://HOST:8786",
    otherwise="this process",
)
_SENT_ON = replace(_ON, help=f"who sends: {_ON.help.partition(': ')[2]}")
_FRESH_KEYS = Option("fresh_keys", flag(), "no key was used in the window before the log began")
_ALLOW_UNTESTED = Option("allow_untested", flag(), "what was not tested does not fail it")

_SERVE = Verb(
    "serve",
    "Run a rate-limited Flask server until Ctrl-C.",
    {
        PROMISE: (
            _POLICY,
            _LIMIT,
            Option("status", choice("503", "429", make=int), "code of a denial", "503"),
            Option("exempt", PATHS, "paths that are not limited, such as /a,/b", ""),
            Option("shadow", flag(), "decide and count, but let everything pass"),
        ),
        "who a client is": (
            replace(
                _KEY,
                kind=KEY,
                help=f"where an identity is: {KEY.form}",
                default="query:clientId|header:X-Client-Id|ip",
            ),
            *_ADDRESS,
        ),
        "the server": (
            replace(_CONFIG, help="settings file, read again on SIGHUP"),
            Option("host", text(metavar="HOST"), "address to listen on", "127.0.0.1"),
            Option("port", whole(0, 65_535), "0 picks a free one", "8080"),
            Option("workers", whole(1, 256), "processes", otherwise="one a core"),
            Option("with_parent", flag(), "stop when the parent process is gone"),
        ),
        "the store": (
            Option(
                "store",
                text(metavar="URL"),
                "memory://, shm://NAME or redis://HOST",
                otherwise="shm://server-PORT",
            ),
            Option("capacity", whole(1, 2**26), "clients that it can hold at once", "65536"),
            Option("on_full", choice("deny", "admit"), "when it has no room for a client", "deny"),
            _FLOOD_EXEMPT,
            Option(
                "on_error", choice("deny", "admit", "local"), "while it is out of reach", "deny"
            ),
        ),
        OUTPUT: (
            Option("x_ratelimit", flag(), "answer with X-RateLimit-* as well"),
            Option(
                "metrics", choice("loopback", "any", "off"), "who may read /metrics", "loopback"
            ),
            Option("access_log", flag(), "a line on stderr for each request"),
            replace(_JSON, help="where and what it serves as JSON on stdout"),
        ),
    },
    ("serve --policy '100 per minute' --key header:X-Api-Key", "serve --config server.toml"),
    environment=True,
    config=True,
    unfiled="config with_parent json",
)

_SERVICE = Verb(
    "service",
    "Decide for programs in any language: the limits of FILE, over HTTP, RESP and Envoy's RLS, until Ctrl-C.",
    {
        PROMISE: (Option("status", whole(400, 599), "code of a denial", "429"),),
        "who a client is": (
            replace(_ADDRESS[0], kind=whole(0, 100), help="trusted: how many"),
            *_ADDRESS[1:],
        ),
        "the service": (
            replace(_CONFIG, help="settings file, whose limits are read again on SIGHUP"),
            Option("host", text(metavar="HOST"), "address to listen on, or unix:PATH", "127.0.0.1"),
            Option("port", whole(0, 65_535), "0 picks a free one", "8090"),
            Option(
                "resp", text(metavar="ADDRESS"), "HOST:PORT or unix:PATH of RESP", otherwise="none"
            ),
            Option(
                "resp_tables", whole(0, 4096), "tables of policies that clients tell, at most", "64"
            ),
            Option(
                "rls",
                text(metavar="ADDRESS"),
                "HOST:PORT or unix:PATH of Envoy's rate limit service",
                otherwise="none",
            ),
            Option(
                "rls_config",
                text(metavar="PATH"),
                "its rules: YAML of envoyproxy/ratelimit, or a folder",
                otherwise="none",
            ),
            Option("threads", whole(1, 256), "event loops", otherwise="one a core"),
            Option("connections", whole(1, 2**20), "open at once, at most", "10000"),
            Option("token", text(metavar="@FILE"), "that clients have to tell; @env:NAME, too"),
            Option("tls_cert", text(metavar="FILE"), "speak TLS: a certificate with its chain"),
            Option("tls_key", text(metavar="FILE"), "its key"),
            Option("show_keys", flag(), "name clients on /metrics, not digests of them"),
        ),
        "the store": (
            Option("store", text(metavar="URL"), "memory:// or shm://NAME", "memory://"),
            Option("capacity", whole(1, 2**26), "clients that it can hold at once", "65536"),
            _FLOOD_EXEMPT,
        ),
        OUTPUT: (replace(_JSON, help="where and what it serves as JSON on stdout"),),
    },
    (
        "service --config rateproof.toml --store shm://api",
        "service --config limits.toml --port 9000",
    ),
    environment=True,
    config=True,
    unfiled="config json",
)

_SIMULATE = Verb(
    "simulate",
    "Send the traffic of many clients until a key is pressed.",
    {
        "who sends": (
            Option(
                "scenario",
                IN_TOML,
                "in TOML; what is given here wins over it",
                argument="scenario_file",
            ),
            Option("clients", _COUNT, "1 to 1000000", otherwise="asked for"),
            Option("connections", _COUNT, "of each client", otherwise="1"),
            Option(
                "behaviour",
                text(form=f"one of {_BEHAVIOURS}", metavar="NAME"),
                _BEHAVIOURS,
                otherwise="think",
            ),
            Option(
                "rate", RATE, "requests a second of all clients together", argument="rate_per_s"
            ),
            replace(_SEED, help="of the schedule"),
            Option("max_connections", _COUNT, "open at once, of all clients together"),
            Option("threads", whole(1, 256), "that send natively", otherwise="one a core"),
            _SENT_ON,
        ),
        PROMISE: (
            replace(
                _POLICY, help="what the log notes; attackers aim at its first quota", default=None
            ),
        ),
        REQUEST: (
            *_SENDING,
            Option(
                "connect_timeout",
                _TIMEOUT,
                "for a connection and its TLS handshake",
                otherwise="--timeout",
            ),
        ),
        LENGTH: (_DURATION,),
        OUTPUT: (
            Option(
                "log", text(metavar="FILE"), "every request: *.parquet, *.jsonl or -", short="o"
            ),
            Option("plain", flag(), "a line of figures instead of the live view"),
            _JSON,
        ),
    },
    (
        "simulate --clients 50 --duration 30s -o run.parquet",
        "simulate http://127.0.0.1:5000/login -X POST -H 'Accept: */*' --behaviour race",
    ),
    waits=True,
    unfiled="scenario clients connections behaviour rate threads on transport yes log plain json",
)

_TEST = Verb(
    "test",
    "Test whether a server's limit holds, until stopped.",
    {
        PROMISE: (_POLICY, _LIMIT),
        REQUEST: (
            replace(_URL, default=None, otherwise=f"{DEFAULT_URL}, or there a server of our own"),
            *_SENDING[1:],
            _SENT_ON,
        ),
        LENGTH: (
            Option(
                "iterations",
                whole(1, 10**9),
                "how many, most of 1 to 30 s, longer for long windows",
                otherwise="until stopped",
            ),
            _DURATION,
            Option(
                "max_requests",
                whole(1, 10**9),
                "sent in all, at most; then it ends",
                otherwise="none",
            ),
            Option("fail_fast", flag(), "stop at the first violation"),
            Option(
                "outer_time",
                duration(0),
                "time to fill each quota that others delay, beside the iterations",
                "2m",
            ),
            Option(
                "shrink_time",
                duration(0),
                "time to look for the shortest schedule of a violation; 0: none",
                "30s",
            ),
            Option(
                "worst_time",
                duration(0),
                "time to look for the most that is let through, after a violation; 0: none",
                "30s",
            ),
            Option("no_shrink", flag(told=False), "look for no shortest schedule", key="shrink"),
            _SEED,
        ),
        JUDGING: (
            *_JUDGING,
            replace(_FRESH_KEYS, help="no key of --keys was used in the window before"),
            _ALLOW_UNTESTED,
        ),
        "a schedule of your own": (
            Option(
                "schedule",
                text(metavar="STEPS"),
                "send just this on 6 fresh clients, once: '1 at 0s, 4 at 4.9s, 2 at 5.1s'",
            ),
            Option("connections", whole(1, 10_000), "of each client of it", otherwise="1"),
            Option(
                "others", text(metavar="STEPS"), "other clients meanwhile, such as '2000 at 0.5s'"
            ),
            Option(
                "phase", text(metavar="TIME"), "Unix time modulo the window as the schedule begins"
            ),
        ),
        UNDER_TEST: (
            _CONFIG,
            Option(
                "endpoint",
                NAME,
                "one of FILE (all, where no URL is given); URL replaces the one of [test]",
                argument="endpoints",
                many=True,
            ),
            Option(
                "start",
                text(metavar="COMMAND"),
                "start this one for the test: 'gunicorn app:app --bind {host}:{port}'",
            ),
            Option(
                "nemesis",
                text(metavar="DEEDS"),
                "to a server started here: all, or some of kill,pause,restart",
                "none",
            ),
            Option(
                "self", flag(), "a server of our own, started for the test at URL", argument="own"
            ),
            Option(
                "no_start",
                flag(told=False),
                "where nothing listens, start no server",
                argument="may_start",
                hidden=True,
            ),
        ),
        OUTPUT: (
            Option("out", FOLDER, "for test_summary.txt, report, logs", ".", short="o"),
            _JUNIT,
            _JSON,
            Option("verbose", flag(), "all figures of iterations that hold, too", short="v"),
        ),
    },
    (
        "test http://127.0.0.1:5000/login --policy '5 per minute' -X POST --duration 5m",
        "test --start 'gunicorn app:app --bind {host}:{port}' --nemesis all",
    ),
    config=True,
    unfiled="config endpoint schedule connections others phase self no_start json fresh_keys",
)

_ACCESS_LOGS = (
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
    *(replace(each, default=None, otherwise=each.default or "") for each in _ADDRESS),
    Option(
        "skew",
        duration(0, _HOUR_NS),
        "files of other names are of other hosts, whose clocks are at most so far off the limiter's",
        otherwise="one host",
    ),
    Option("skip_bad", flag(), "leave out lines that are not understood, however many"),
)

_CHECK = Verb(
    "check",
    "Judge an event log, or an access log.",
    {
        PROMISE: (
            replace(_POLICY, default=None, otherwise=f"what the log names, else {DEFAULT_POLICY}"),
        ),
        "the log": (
            Option(
                "log",
                text(metavar="LOG"),
                "*.parquet, *.jsonl, JSON of k6, JSON or CSV of vegeta, access logs, evidence, or - for stdin",
                positional=True,
                many=True,
                required=True,
            ),
            replace(
                _KEY,
                kind=KEY_OF_LOG,
                help="where the identity is in an access log, or a log of k6 or vegeta",
                default=None,
                otherwise="ip, or query:clientId",
            ),
            replace(
                _REJECTED,
                help="such as 403: outcomes follow from statuses anew",
                default=None,
                otherwise="what the log notes",
            ),
            _FRESH_KEYS,
            Option(
                "memory",
                SIZE,
                "beyond which a log is split by key on disk",
                otherwise="half of what is free",
            ),
            _ON,
        ),
        "access logs": _ACCESS_LOGS,
        "a log that grows": (
            Option("follow", flag(), "judge it as it grows, through rotations, until stopped"),
            Option("fail_fast", flag(), "stop at the first client that violates"),
            Option(
                "metrics_port",
                whole(1, 65_535),
                "of a page /metrics on the loopback",
                otherwise="none",
            ),
        ),
        # Evidence has these itself, so nothing holds yet where they are left out.
        JUDGING: (
            *(replace(each, default=None, otherwise=each.default or "") for each in _JUDGING),
            _ALLOW_UNTESTED,
        ),
        OUTPUT: (
            Option("by_key", flag(), "a line for each key instead"),
            Option("evidence", FOLDER, "where it is written, or FILE.json for one"),
            Option("report", NEW_FILE, "an HTML page; needs jinja2"),
            _JUNIT,
            replace(_JSON, help="the verdict as JSON on stdout"),
        ),
    },
    (
        "check k6.json --fresh-keys --key header:X-Api-Key --claim all --by-key",
        "check access.log --format nginx --policy '100 per minute' --key ip",
    ),
)

_PLAN = Verb(
    "plan",
    "Choose a limit from an access log.",
    {
        "the log": (
            Option(
                "log",
                text(metavar="LOG"),
                "access logs, patterns of their names, or - for stdin",
                positional=True,
                many=True,
                required=True,
            ),
            replace(_KEY, kind=KEY_OF_LOG, help="what tells clients apart", default="ip"),
            _ON,
        ),
        "access logs": _ACCESS_LOGS,
        "what to try": (
            Option("windows", WINDOWS, "lengths of windows", "1s,10s,1m,1h"),
            replace(_POLICY, help="what this one would have done", default=None),
            Option(
                "max_rejected",
                SHARE,
                "exit 0 if --policy certainly rejects no more, 1 if it does, else 2",
            ),
        ),
        OUTPUT: (
            Option("report", NEW_FILE, "an HTML page; needs jinja2"),
            Option("show_keys", flag(), "name clients, not digests of them"),
            _JSON,
        ),
    },
    (
        "plan access.log --key ip --report plan.html",
        "plan access.log --policy '100 per minute' --max-rejected 0.1%",
    ),
)

_PROBE = Verb(
    "probe",
    "Infer the policy that a server enforces.",
    {
        REQUEST: _SENDING,
        LENGTH: (
            Option("max_requests", whole(2, 100_000), "in all", "2100"),
            Option("max_time", duration(), "about; no longer window is looked for", "100s"),
        ),
        OUTPUT: (_CONFIG, _JSON),
    },
    ("probe http://127.0.0.1:5000/login", "probe https://api.test/ --max-requests 100 --json"),
    config=True,
    unfiled="config json",
)

_STORE = Verb(
    "store",
    "List, show or remove stores in shared memory.",
    {
        "which": (
            Option(
                "action",
                choice("ls", "show", "rm", metavar="ACTION"),
                "what to do",
                positional=True,
                required=True,
            ),
            Option(
                "name",
                text(metavar="NAME"),
                "NAME or shm://NAME, to show or remove",
                positional=True,
            ),
            Option("force", flag(), "remove it even while processes have it open"),
        ),
        OUTPUT: (_JSON,),
    },
    ("store ls", "store rm server-8080 --force"),
)

_DOCTOR = Verb(
    "doctor",
    "Say whether this machine has what a limiter needs.",
    {OUTPUT: (_JSON,)},
    ("doctor", "doctor --json"),
)

_COMPLETION = Verb(
    "completion",
    "Write what completes these commands in a shell.",
    {
        OUTPUT: (
            Option(
                "shell",
                choice(*SHELLS, metavar="SHELL"),
                "for which",
                positional=True,
                required=True,
            ),
        )
    },
    ("completion bash >~/.local/share/bash-completion/completions/rateproof", "completion zsh"),
)

VERBS: Final = {
    verb.name: verb
    for verb in (
        _SERVE,
        _SERVICE,
        _SIMULATE,
        _TEST,
        _CHECK,
        _PLAN,
        _PROBE,
        _STORE,
        _DOCTOR,
        _COMPLETION,
    )
}
"""Every command, by name."""
