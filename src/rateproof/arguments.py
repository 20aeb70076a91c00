"""The arguments of the command line: their forms, defaults and help. No room is loaded for them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rateproof import argument_types
from rateproof.errors import InvalidArgument
from rateproof.output import emit

__all__ = ["BEHAVIOURS", "CLAIMS", "DEFAULT_POLICY", "claims_of", "parse"]

DEFAULT_POLICY = "5 per 5s"
DEFAULT_URL = "http://127.0.0.1:8080"
SERVER_KEY = "query:clientId|header:X-Client-Id|ip"
CLIENT_KEY = "query:clientId"
DEFAULT = "default: %(default)s"
POLICY_FORM = "such as '5 per 5s' or '5/s; 1000 per hour'"
KEY_FORM = (
    "ip, path, method, query:NAME, header:NAME or cookie:NAME, joined by + (both) or | (else)"
)
EXIT_CODES = """\
exit codes: 0 nothing wrong found, 1 violated or the server crashed, 2 inconclusive,
64 bad arguments, 65 unreadable log, 69 unreachable or port taken, 70 internal error,
73 cannot write, 130 interrupted before there was a verdict"""
SERVE_NOTES = """\
Each setting can also stand in the environment (RATEPROOF_PORT=8081) or in FILE
(port = 8081); flags win over the environment, and that wins over FILE.

"""
CLAIMS = ("over-admission", "wrong-rejection", "headers", "limit", "all")
TRANSPORTS = ("native", "threads")
REJECTED_HELP = "status codes by which the limiter says no, such as 403; default: 429,503"
MAX_RATE_HELP = "requests a second at most; default: none, but 100 to another machine"
BEHAVIOURS = (
    "think",
    "saturate",
    "poisson",
    "constant",
    "ramp",
    "burst",
    "polite",
    "backoff",
    "storm",
    "boundary",
    "race",
    "sybil",
    "zipf",
    "herd",
    "drip",
    "schedule",
)


def parse(argv: Sequence[str], program: str | None = None) -> argparse.Namespace:
    """Read the arguments; `command` is the verb.

    Args:
        argv: what follows the program's name.
        program: how the person started the command; `rateproof COMMAND` if None.

    Raises:
        InvalidArgument: naming the argument, its value and the accepted form.
        SystemExit: after --help and --version.
    """
    return _parser(program).parse_args(_joined(argv))


def _joined(argv: Sequence[str]) -> list[str]:
    """Write `--duration -1s` as `--duration=-1s`: argparse takes `-1s` for an option."""
    joined: list[str] = []
    for argument in argv:
        valued = joined and joined[-1].startswith("--") and "=" not in joined[-1]
        if valued and argument[:1] == "-" and argument[1:2].isdigit():
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def claims_of(arguments: argparse.Namespace) -> frozenset[str]:
    """What `--claim` asks to be judged."""
    from rateproof.prove.terms import CLAIM_SETS

    return CLAIM_SETS[arguments.claim or "limit"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidArgument(message, f"{self.prog} --help")


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from rateproof import __version__
        from rateproof.core import active_core

        emit(f"rateproof {__version__} ({active_core()} core)")
        parser.exit(0)


def _parser(program: str | None) -> argparse.ArgumentParser:
    parser = _Parser(prog="rateproof", description="HTTP rate limiting you can prove.")
    parser.add_argument("--version", action=_Version, nargs=0, help="version and active core")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for verb, what, add_arguments in (
        ("serve", "Run a rate-limited Flask server until Ctrl-C.", _serve_arguments),
        (
            "simulate",
            "Send the traffic of many clients until a key is pressed.",
            _simulate_arguments,
        ),
        ("test", "Test whether a server's limit holds, until stopped.", _test_arguments),
        ("check", "Judge an event log.", _check_arguments),
        ("probe", "Infer the policy that a server enforces.", _probe_arguments),
    ):
        command = commands.add_parser(
            verb,
            prog=program,
            help=what,
            description=what,
            epilog=SERVE_NOTES + EXIT_CODES if verb == "serve" else EXIT_CODES,
            usage="%(prog)s [URL] [OPTION ...]" if verb == "simulate" else None,
            formatter_class=_Help,
        )
        add_arguments(command)
    return parser


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Texts only, None where left out: the environment and a file may have them too."""
    add, switch = parser.add_argument, argparse.BooleanOptionalAction
    add("--config", metavar="FILE", help="settings in TOML; read again on SIGHUP")
    add("--policy", help=f"{POLICY_FORM}; default: {DEFAULT_POLICY}")
    add("--key", help=f"where an identity is: {KEY_FORM}; default: {SERVER_KEY}")
    add("--host", help="address to listen on; default: 127.0.0.1")
    add("--port", help="0 picks a free one; default: 8080")
    add("--workers", help="processes; default: one a core")
    add("--store", help="memory://, shm://NAME or redis://HOST; default: shm://server-PORT")
    add("--status", help="code of a denial: 503 or 429; default: 503")
    add("--on-full", help="when the store has no room for a client: deny (default) or admit")
    add("--on-error", help="while the store is out of reach: deny (default), admit or local")
    add("--capacity", help="clients that the store can hold at once; default: 65536")
    add("--shadow", action=switch, help="decide and count, but let everything pass")
    add("--exempt", metavar="PATHS", help="paths that are not limited, such as /a,/b")
    add("--proxies", metavar="HOPS", help="trusted: how many, or networks (10.0.0.0/8,unix:)")
    add("--proxy-header", metavar="NAME", help="what they write; default: X-Forwarded-For")
    add("--ipv6-prefix", metavar="BITS", help="of an IPv6 address that count; default: 128")
    add("--x-ratelimit", action=switch, help="answer with X-RateLimit-* as well")
    add("--metrics", help="who may read /metrics: loopback (default), any or off")
    add("--access-log", action=switch, help="a line on stderr for each request")
    add("--json", action="store_true", help="where and what it serves as JSON on stdout")
    add("--with-parent", action="store_true", help="stop when the parent process is gone")


def _sending_arguments(parser: argparse.ArgumentParser) -> None:
    """None where left out: a scenario file may have them too."""
    add = parser.add_argument
    add("url", nargs="?", metavar="URL", help=f"default: {DEFAULT_URL}")
    add(
        "--key",
        type=argument_types.key,
        help=f"where identities go: query:, header: or cookie:NAME; default: {CLIENT_KEY}",
    )
    add(
        "--timeout",
        metavar="TIME",
        type=argument_types.duration,
        help="for one answer; default: 10s",
    )
    add("--rejected", metavar="STATUSES", type=argument_types.statuses, help=REJECTED_HELP)
    add("--max-rate", metavar="RATE", type=argument_types.rate, help=MAX_RATE_HELP)
    add(
        "--transport",
        metavar="NAME",
        choices=TRANSPORTS,
        help="native (default, but client.py: threads) or threads",
    )
    add("--method", metavar="NAME", help="of every request, in capital letters; default: GET")
    add(
        "--header",
        action="append",
        type=argument_types.header,
        metavar="'NAME: VALUE'",
        help="one more of every request",
    )
    add("--data", type=argument_types.data, metavar="TEXT|@FILE", help="body of every request")
    add("--cacert", metavar="FILE", help="certificates in PEM to trust instead of the system's")
    add("--insecure", action="store_true", help="accept any certificate")
    add("--yes", action="store_true", help="do not ask before sending to another machine")
    add("--json", action="store_true", help="results as JSON on stdout")


def _load_arguments(parser: argparse.ArgumentParser) -> None:
    _sending_arguments(parser)
    parser.add_argument(
        "--seed",
        metavar="N",
        type=argument_types.count(0, 2**63 - 1),
        help="default: random, and printed",
    )


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scenario", type=Path, metavar="FILE", help="in TOML; what is given here wins over it")
    _load_arguments(parser)
    add(
        "--clients",
        metavar="N",
        type=argument_types.count(1, 1_000_000),
        help="1 to 1000000; asked for if left out",
    )
    add(
        "--connections",
        metavar="N",
        type=argument_types.count(1, 1_000_000),
        help="of each client; default: 1",
    )
    add("--behaviour", metavar="NAME", help=f"{', '.join(BEHAVIOURS)}; default: think")
    add("--policy", type=argument_types.policy, help="what attackers aim at and the log notes")
    add(
        "--rate",
        metavar="RATE",
        type=argument_types.rate,
        help="requests a second of all clients together",
    )
    add(
        "--duration",
        metavar="TIME",
        type=argument_types.duration,
        help="such as 30s; default: until stopped",
    )
    add(
        "--connect-timeout",
        metavar="TIME",
        type=argument_types.duration,
        help="for a connection; default: --timeout",
    )
    add(
        "--max-connections",
        metavar="N",
        type=argument_types.count(1, 1_000_000),
        help="open at once, of all clients",
    )
    add(
        "--threads",
        metavar="N",
        type=argument_types.count(1, 256),
        help="that send natively; default: one a core",
    )
    add("--log", metavar="FILE", help="every request: *.parquet, *.jsonl or -")
    add("--plain", action="store_true", help="a line of figures instead of the live view")


def _judging_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--claim",
        choices=CLAIMS,
        default="limit",
        help="what to judge: limit is the first two; default: limit",
    )
    add("--count-denied", action="store_true", help="denied requests use up the limit too")
    add(
        "--tolerance",
        type=argument_types.tolerance,
        default="500ppm",
        help="drift of the clocks; default: 500ppm",
    )
    add(
        "--granularity",
        metavar="TIME",
        type=argument_types.granularity,
        default="0s",
        help="step of the server's clock: 1ms for nginx and HAProxy; default: 0s",
    )


def _junit_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--junit", type=Path, metavar="FILE", help="the result as JUnit XML")


def _test_arguments(parser: argparse.ArgumentParser) -> None:
    _load_arguments(parser)
    parser.set_defaults(url=DEFAULT_URL, key=CLIENT_KEY, timeout="10s")
    add = parser.add_argument
    add(
        "--policy",
        type=argument_types.policy,
        default=DEFAULT_POLICY,
        help=f"{POLICY_FORM}; {DEFAULT}",
    )
    _judging_arguments(parser)
    add(
        "--iterations",
        type=argument_types.count(1, 10**9),
        default=None,
        help="default: until stopped",
    )
    add(
        "--duration",
        metavar="TIME",
        type=argument_types.duration,
        help="stop after it, such as 5m; default: until stopped",
    )
    add("--fail-fast", action="store_true", help="stop at the first violation")
    add("--no-shrink", action="store_true", help="look for no shortest schedule of a violation")
    add(
        "--schedule",
        metavar="STEPS",
        help="send just this on 6 fresh clients, once: '1 at 0s, 4 at 4.9s, 2 at 5.1s'",
    )
    add(
        "--connections",
        metavar="N",
        type=argument_types.count(1, 10_000),
        help="of each client of the schedule; default: 1",
    )
    add("--others", metavar="STEPS", help="other clients meanwhile, such as '2000 at 0.5s'")
    add("--phase", metavar="TIME", help="Unix time modulo the window as the schedule begins")
    add(
        "--start",
        metavar="COMMAND",
        help="start this server for the test: 'gunicorn app:app --bind {host}:{port}'",
    )
    add(
        "--nemesis",
        metavar="DEEDS",
        default="none",
        help=f"to a server started here: all, or some of kill,pause,restart; {DEFAULT}",
    )
    add("--no-start", action="store_true", help="where nothing listens, start no server: exit 69")
    add("--out", default=".", metavar="DIR", help=f"for test_summary.txt, report, logs; {DEFAULT}")
    _junit_argument(parser)


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "log",
        metavar="LOG",
        help="*.parquet, *.jsonl, JSON of k6, JSON or CSV of vegeta, evidence, or - for stdin",
    )
    parser.add_argument(
        "--key",
        type=argument_types.key,
        help=f"where the identity is in a log of k6 or vegeta; default: {CLIENT_KEY}",
    )
    parser.add_argument(
        "--policy",
        type=argument_types.policy,
        help=f"{POLICY_FORM}; default: what the log names, else {DEFAULT_POLICY}",
    )
    parser.add_argument(
        "--rejected",
        metavar="STATUSES",
        type=argument_types.statuses,
        help="such as 403: outcomes follow from statuses anew; default: what the log notes",
    )
    _judging_arguments(parser)
    parser.set_defaults(claim=None, tolerance=None, granularity=None)  # evidence has its own
    parser.add_argument("--by-key", action="store_true", help="a line for each key instead")
    parser.add_argument(
        "--evidence", type=Path, metavar="DIR", help="where it is written, or FILE.json for one"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="an HTML page; needs bokeh")
    _junit_argument(parser)
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on stdout")


def _probe_arguments(parser: argparse.ArgumentParser) -> None:
    _sending_arguments(parser)
    parser.set_defaults(url=DEFAULT_URL, key=CLIENT_KEY, timeout="10s")
    add = parser.add_argument
    add(
        "--max-requests",
        metavar="N",
        type=argument_types.count(2, 100_000),
        default=250,
        help=f"in all; {DEFAULT}",
    )
    add(
        "--max-time",
        metavar="TIME",
        type=argument_types.duration,
        default="60s",
        help=f"about; no longer window is looked for; {DEFAULT}",
    )
