"""Every verb and every option, each declared once.

The command line, the files, the environment, the JSON Schema, the pytest fixture, the
reference pages and the completion of shells all derive from this.
"""

from dataclasses import replace
from typing import Final

from rateproof.options import shared
from rateproof.options.forms import (
    FOLDER,
    IN_TOML,
    KEY,
    KEY_OF_LOG,
    NAME,
    NEW_FILE,
    PATHS,
    RATE,
    SHARE,
    SIZE,
    WINDOWS,
)
from rateproof.options.kinds import Option, choice, duration, flag, text, whole
from rateproof.options.shared import DEFAULT_POLICY, DEFAULT_URL
from rateproof.options.verb import Verb
from rateproof.registry import names_in

PROMISE: Final = "what is promised"
REQUEST: Final = "the request"
LENGTH: Final = "how long"
JUDGING: Final = "judging"
OUTPUT: Final = "output"
UNDER_TEST: Final = "the server under test"

_BEHAVIOURS = ", ".join(names_in("rateproof.simulate.behaviours"))

_SERVE = Verb(
    "serve",
    "Run a rate-limited Flask server until Ctrl-C.",
    {
        PROMISE: (
            shared.POLICY,
            shared.LIMIT,
            Option("status", choice("503", "429", make=int), "code of a denial", "503"),
            Option("exempt", PATHS, "paths that are not limited, such as /a,/b", ""),
            Option("shadow", flag(), "decide and count, but let everything pass"),
        ),
        "who a client is": (
            replace(
                shared.KEY,
                kind=KEY,
                help=f"where an identity is: {KEY.form}",
                default="query:clientId|header:X-Client-Id|ip",
            ),
            *shared.ADDRESS,
        ),
        "the server": (
            replace(shared.CONFIG, help="settings file, read again on SIGHUP"),
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
            shared.FLOOD_EXEMPT,
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
            replace(shared.JSON, help="where and what it serves as JSON on stdout"),
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
            replace(shared.ADDRESS[0], kind=whole(0, 100), help="trusted: how many"),
            *shared.ADDRESS[1:],
        ),
        "the service": (
            replace(shared.CONFIG, help="settings file, whose limits are read again on SIGHUP"),
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
            shared.FLOOD_EXEMPT,
        ),
        OUTPUT: (replace(shared.JSON, help="where and what it serves as JSON on stdout"),),
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
            Option("clients", shared.COUNT, "1 to 1000000", otherwise="asked for"),
            Option("connections", shared.COUNT, "of each client", otherwise="1"),
            Option(
                "behaviour",
                text(form=f"one of {_BEHAVIOURS}", metavar="NAME"),
                _BEHAVIOURS,
                otherwise="think",
            ),
            Option(
                "rate", RATE, "requests a second of all clients together", argument="rate_per_s"
            ),
            replace(shared.SEED, help="of the schedule"),
            Option("max_connections", shared.COUNT, "open at once, of all clients together"),
            Option("threads", whole(1, 256), "that send natively", otherwise="one a core"),
            shared.SENT_ON,
        ),
        PROMISE: (
            replace(
                shared.POLICY,
                help="what the log notes; attackers aim at its first quota",
                default=None,
            ),
        ),
        REQUEST: (
            *shared.SENDING,
            Option(
                "connect_timeout",
                shared.TIMEOUT,
                "for a connection and its TLS handshake",
                otherwise="--timeout",
            ),
        ),
        LENGTH: (shared.DURATION,),
        OUTPUT: (
            Option(
                "log", text(metavar="FILE"), "every request: *.parquet, *.jsonl or -", short="o"
            ),
            Option("plain", flag(), "a line of figures instead of the live view"),
            shared.JSON,
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
        PROMISE: (shared.POLICY, shared.LIMIT),
        REQUEST: (
            replace(
                shared.URL, default=None, otherwise=f"{DEFAULT_URL}, or there a server of our own"
            ),
            *shared.SENDING[1:],
            shared.SENT_ON,
        ),
        LENGTH: (
            Option(
                "iterations",
                whole(1, 10**9),
                "how many, most of 1 to 30 s, longer for long windows; more follow where a weakness would not have shown",
                otherwise="until stopped",
            ),
            shared.DURATION,
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
            shared.SEED,
        ),
        JUDGING: (
            *shared.JUDGING,
            replace(shared.FRESH_KEYS, help="no key of --keys was used in the window before"),
            shared.ALLOW_UNTESTED,
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
            shared.CONFIG,
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
            shared.JUNIT,
            shared.JSON,
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

_CHECK = Verb(
    "check",
    "Judge an event log, or an access log.",
    {
        PROMISE: (
            replace(
                shared.POLICY, default=None, otherwise=f"what the log names, else {DEFAULT_POLICY}"
            ),
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
                shared.KEY,
                kind=KEY_OF_LOG,
                help="where the identity is in an access log, or a log of k6 or vegeta",
                default=None,
                otherwise="ip, or query:clientId",
            ),
            replace(
                shared.REJECTED,
                help="such as 403: outcomes follow from statuses anew",
                default=None,
                otherwise="what the log notes",
            ),
            shared.FRESH_KEYS,
            Option(
                "memory",
                SIZE,
                "beyond which a log is split by key on disk",
                otherwise="half of what is free",
            ),
            shared.ON,
        ),
        "access logs": shared.ACCESS_LOGS,
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
            *(replace(each, default=None, otherwise=each.default or "") for each in shared.JUDGING),
            shared.ALLOW_UNTESTED,
        ),
        OUTPUT: (
            Option("by_key", flag(), "a line for each key instead"),
            Option("evidence", FOLDER, "where it is written, or FILE.json for one"),
            Option("report", NEW_FILE, "an HTML page; needs jinja2"),
            shared.JUNIT,
            replace(shared.JSON, help="the verdict as JSON on stdout"),
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
            replace(shared.KEY, kind=KEY_OF_LOG, help="what tells clients apart", default="ip"),
            shared.ON,
        ),
        "access logs": shared.ACCESS_LOGS,
        "what to try": (
            Option("windows", WINDOWS, "lengths of windows", "1s,10s,1m,1h"),
            replace(shared.POLICY, help="what this one would have done", default=None),
            Option(
                "max_rejected",
                SHARE,
                "exit 0 if --policy certainly rejects no more, 1 if it does, else 2",
            ),
        ),
        OUTPUT: (
            Option("report", NEW_FILE, "an HTML page; needs jinja2"),
            Option("show_keys", flag(), "name clients, not digests of them"),
            shared.JSON,
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
        REQUEST: shared.SENDING,
        LENGTH: (
            Option("max_requests", whole(2, 100_000), "in all", "2100"),
            Option("max_time", duration(), "about; no longer window is looked for", "100s"),
        ),
        OUTPUT: (shared.CONFIG, shared.JSON),
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
        OUTPUT: (shared.JSON,),
    },
    ("store ls", "store rm server-8080 --force"),
)

_DOCTOR = Verb(
    "doctor",
    "Say whether this machine has what a limiter needs.",
    {OUTPUT: (shared.JSON,)},
    ("doctor", "doctor --json"),
)

_COMPLETION = Verb(
    "completion",
    "Write what completes these commands in a shell.",
    {
        OUTPUT: (
            Option(
                "shell",
                choice("bash", "zsh", "fish", metavar="SHELL"),
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
