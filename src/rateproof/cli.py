"""The command line: one command a verb. Arguments here, work in the rooms.

Data goes to stdout, progress and hints to stderr. Exit codes: 0 done and
nothing wrong found, 1 violated or the server under test crashed, 2
inconclusive, 64 bad arguments, 65 unreadable log, 69 target unreachable or
port taken, 70 internal error, 73 cannot write, 130 interrupted before there
was a verdict.
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from rateproof.errors import InvalidArgument, RateproofError
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy
from rateproof.units import parse_duration

__all__ = ["main"]

INTERNAL_ERROR, INTERRUPTED = 70, 130
VERDICT_CODES = {"consistent": 0, "violated": 1, "inconclusive": 2}

DEFAULT_POLICY = "5 per 5s"
DEFAULT_URL = "http://127.0.0.1:8080"
SERVER_KEY = "query:clientId|header:X-Client-Id|ip"
CLIENT_KEY = "query:clientId"
CLAIMS = ("over-admission", "wrong-rejection")

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; never raises.

    Args:
        argv: the arguments after the program's name; `sys.argv[1:]` if None.
    """
    try:
        arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse: --help, --version
        return stop.code if isinstance(stop.code, int) else INTERNAL_ERROR
    except RateproofError as error:
        print(f"rateproof: error: {error.message}", file=sys.stderr)
        if error.hint is not None:
            print(f"\nhint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("rateproof: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `rateproof … | head`: whoever read our data has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # noqa: BLE001  a bug must never look like a verdict
        traceback.print_exc()
        print("rateproof: internal error: this is a bug, please report it", file=sys.stderr)
        return INTERNAL_ERROR
    return code


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

        print(f"rateproof {__version__} ({active_core()} core)")
        parser.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="rateproof", description="HTTP rate limiting you can prove.")
    parser.add_argument("--version", action=_Version, nargs=0, help="version and active core")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _serve_arguments(commands.add_parser("serve", help="run the rate-limited server"))
    _simulate_arguments(commands.add_parser("simulate", help="send traffic of many clients"))
    _test_arguments(commands.add_parser("test", help="test a server until stopped"))
    _check_arguments(commands.add_parser("check", help="judge an event log"))
    return parser


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--policy", type=_policy, default=DEFAULT_POLICY, help="default: %(default)s")
    add("--key", type=_key, default=SERVER_KEY, help="where a client's identity is read")
    add("--host", default="127.0.0.1", help="address to listen on, default: %(default)s")
    add("--port", type=_count(0, 65_535), default=8080, help="0 picks a free one")
    add("--workers", type=_count(1, 256), default=None, help="processes, default: one a core")
    add("--store", default=None, help="default: shm://server-PORT")
    add("--status", type=_count(400, 599), default=503, help="code of a denial: 503 or 429")
    add("--json", action="store_true", help="where and what it serves as JSON on stdout")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from rateproof.enforce.server import ServerSettings, serve

    serve(
        ServerSettings(
            policy=arguments.policy,
            key=arguments.key,
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            store=arguments.store,
            status=arguments.status,
            json=arguments.json,
        )
    )
    return 0


def _load_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("url", nargs="?", metavar="URL", default=None, help=f"default: {DEFAULT_URL}")
    add("--key", type=_key, default=CLIENT_KEY, help="where a client's identity is put")
    add("--seed", type=_count(0, 2**63 - 1), default=None, help="default: random, and printed")
    add("--timeout", type=_duration, default="10s", help="for one answer, default: %(default)s")
    add("--max-rate", type=_rate, default=None, help="requests a second, at most")
    add("--yes", action="store_true", help="do not ask before sending to another machine")
    add("--json", action="store_true", help="results as JSON on stdout")


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    _load_arguments(parser)
    add = parser.add_argument
    add("--clients", type=_count(1, 10_000), default=None, help="asked for when not given")
    add("--behaviour", default="think", help="how each client sends, default: %(default)s")
    add("--rate", type=_rate, default=None, help="requests a second of all clients together")
    add("--duration", type=_duration, default=None, help="default: until a key is pressed")
    add("--log", default=None, metavar="FILE", help="record every request: *.parquet or *.jsonl")
    parser.set_defaults(run=_simulate)


def _simulate(arguments: argparse.Namespace) -> int:
    from rateproof.simulate.live import ClientSettings, run_client

    return run_client(
        ClientSettings(
            url=arguments.url or DEFAULT_URL,
            clients=arguments.clients,
            behaviour=arguments.behaviour,
            rate_per_s=arguments.rate,
            key=arguments.key,
            duration_ns=arguments.duration,
            seed=arguments.seed,
            timeout_ns=arguments.timeout,
            max_rate=arguments.max_rate,
            log=arguments.log,
            json=arguments.json,
            yes=arguments.yes,
        )
    )


def _judging_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--policy", type=_policy, default=DEFAULT_POLICY, help="what is claimed to hold")
    add("--claim", choices=(*CLAIMS, "all"), default="all", help="default: %(default)s")
    add("--tolerance", type=_tolerance, default="500ppm", help="how far two clocks may drift")


def _test_arguments(parser: argparse.ArgumentParser) -> None:
    _load_arguments(parser)
    _judging_arguments(parser)
    add = parser.add_argument
    add("--iterations", type=_count(1, 10**9), default=None, help="default: until stopped")
    add("--fail-fast", action="store_true", help="stop at the first violation")
    add("--out", default=".", metavar="DIR", help="for test_summary.txt and logs")
    parser.set_defaults(run=_test)


def _test(arguments: argparse.Namespace) -> int:
    from rateproof.hunt import TestSettings, run_test
    from rateproof.simulate.scenario import fresh_seed
    from rateproof.simulate.target import Target

    return run_test(
        TestSettings(
            target=Target.parse(arguments.url or DEFAULT_URL),
            policy=arguments.policy,
            key=arguments.key,
            seed=fresh_seed() if arguments.seed is None else arguments.seed,
            claims=_claims(arguments),
            tolerance_ppm=arguments.tolerance,
            timeout_ns=arguments.timeout,
            max_rate=arguments.max_rate,
            yes=arguments.yes,
            iterations=arguments.iterations,
            fail_fast=arguments.fail_fast,
            out=Path(arguments.out),
            json_lines=arguments.json,
        )
    )


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", metavar="LOG", help="*.parquet, *.jsonl, or - for stdin")
    _judging_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on stdout")
    parser.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from rateproof.events import read_log
    from rateproof.prove import judge

    verdict = judge(
        read_log(arguments.log),
        arguments.policy,
        claims=_claims(arguments),
        tolerance_ppm=arguments.tolerance,
    )
    print(json.dumps(verdict.to_json()) if arguments.json else verdict.describe())
    return VERDICT_CODES[verdict.outcome]


def _claims(arguments: argparse.Namespace) -> frozenset[str]:
    return frozenset(CLAIMS if arguments.claim == "all" else {arguments.claim})


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
