"""The arguments of the command line: their forms, defaults and help. No room is loaded for them."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.output import emit
from rateproof.policy import Policy
from rateproof.units import parse_duration

__all__ = ["BEHAVIOURS", "CLAIMS", "parse"]

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
CLAIMS = ("over-admission", "wrong-rejection")
MAX_RATE_HELP = "requests a second at most; default: none, but 100 to another machine"
BEHAVIOURS = ("think", "saturate", "poisson", "constant", "boundary", "burst", "polite")

T = TypeVar("T")


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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidArgument(message, f"{self.prog} --help")


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
    ):
        command = commands.add_parser(
            verb,
            prog=program,
            help=what,
            description=what,
            epilog=SERVE_NOTES + EXIT_CODES if verb == "serve" else EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
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


def _load_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("url", nargs="?", metavar="URL", default=DEFAULT_URL, help=DEFAULT)
    add("--key", type=_key, default=CLIENT_KEY, help=f"where identities go: {KEY_FORM}; {DEFAULT}")
    add("--seed", type=_count(0, 2**63 - 1), default=None, help="default: random, and printed")
    add("--timeout", type=_duration, default="10s", help=f"for one answer; {DEFAULT}")
    add("--max-rate", type=_rate, default=None, help=MAX_RATE_HELP)
    add("--yes", action="store_true", help="do not ask before sending to another machine")
    add("--json", action="store_true", help="results as JSON on stdout")


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    _load_arguments(parser)
    add = parser.add_argument
    add("--clients", type=_count(1, 10_000), default=None, help="1 to 10000; asked for if left out")
    add("--behaviour", default="think", help=f"{', '.join(BEHAVIOURS)}; {DEFAULT}")
    add("--policy", type=_policy, default=None, help="what attackers aim at and the log notes")
    add("--rate", type=_rate, default=None, help="requests a second of all clients together")
    add("--duration", type=_duration, default=None, help="such as 30s; default: until stopped")
    add("--log", default=None, metavar="FILE", help="every request: *.parquet, *.jsonl or -")


def _judging_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--policy", type=_policy, default=DEFAULT_POLICY, help=f"{POLICY_FORM}; {DEFAULT}")
    add("--claim", choices=(*CLAIMS, "all"), default="all", help=f"what to judge; {DEFAULT}")
    add("--tolerance", type=_tolerance, default="500ppm", help=f"drift of the clocks; {DEFAULT}")


def _test_arguments(parser: argparse.ArgumentParser) -> None:
    _load_arguments(parser)
    _judging_arguments(parser)
    add = parser.add_argument
    add("--iterations", type=_count(1, 10**9), default=None, help="default: until stopped")
    add("--fail-fast", action="store_true", help="stop at the first violation")
    add("--no-start", action="store_true", help="where nothing listens, start no server: exit 69")
    add("--out", default=".", metavar="DIR", help=f"for test_summary.txt and logs; {DEFAULT}")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="LOG", help="*.parquet, *.jsonl, or - for stdin")
    _judging_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on stdout")


def _typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A type for argparse that keeps our message and hint."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except InvalidArgument as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


_policy = _typed(Policy.parse)
_key = _typed(KeySpec.parse)


def _count(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        form = f"a whole number from {least} to {most}"
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20):
            raise InvalidArgument(f"{text!r} is not a number", form)
        if not least <= int(text) <= most:
            raise InvalidArgument(f"{text} is out of range", form)
        return int(text)

    return _typed(parse)


@_typed
def _duration(text: str) -> int:
    ns = parse_duration(text)
    if ns == 0:
        raise InvalidArgument(f"{text!r} is no time at all", "a duration above 0, such as 10s")
    return ns


@_typed
def _rate(text: str) -> float:
    form = "requests a second, above 0 and at most 1000000"
    if not re.fullmatch(r"[+-]?([0-9.]+(e[+-]?[0-9]+)?|nan|inf)", text, re.IGNORECASE):
        raise InvalidArgument(f"{text!r} is not a rate", form)
    try:
        rate = float(text)
    except ValueError:
        raise InvalidArgument(f"{text!r} is not a rate", form) from None
    if not 0 < rate <= 1_000_000:  # also refuses nan
        raise InvalidArgument(f"rate {text} is out of range", form)
    return rate


@_typed
def _tolerance(text: str) -> int:
    form = "parts per million, such as 500ppm, from 0ppm to 100000ppm"
    digits = text.removesuffix("ppm")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 7):
        raise InvalidArgument(f"{text!r} is not a tolerance", form)
    if int(digits) > 100_000:
        raise InvalidArgument(f"tolerance {text} is out of range", form)
    return int(digits)
