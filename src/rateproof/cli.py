"""The command line: one command a verb. `arguments.py` reads, the rooms work.

Data goes to stdout, progress and hints to stderr. Exit codes: 0 done and
nothing wrong found, 1 violated or the server under test crashed, 2
inconclusive, 64 bad arguments, 65 unreadable log, 69 target unreachable or
port taken, 70 internal error, 73 cannot write, 130 interrupted before there
was a verdict.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rateproof.argument_types import Data
from rateproof.arguments import claims_of, parse
from rateproof.errors import InvalidArgument, RateproofError
from rateproof.output import say

if TYPE_CHECKING:
    from rateproof.hunt.recipe import Recipe

__all__ = ["entry", "main"]

INTERNAL_ERROR, INTERRUPTED = 70, 130


def main(argv: Sequence[str] | None = None, *, program: str | None = None) -> int:
    """Run one command and return its exit code; never raises.

    Args:
        argv: the arguments after the program's name; `sys.argv[1:]` if None.
        program: how the person started the command, for help and hints;
            `rateproof COMMAND` if None.
    """
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv, program)
        code = COMMANDS[arguments.command](arguments)
    except SystemExit as stop:  # argparse: --help, --version
        return stop.code if isinstance(stop.code, int) else INTERNAL_ERROR
    except RateproofError as error:
        say(f"rateproof: error: {error.message}")
        if error.hint is not None:
            say(f"\nhint: {error.hint}")
        return error.exit_code
    except KeyboardInterrupt:
        say("rateproof: interrupted")
        return INTERRUPTED
    except Exception:  # noqa: BLE001  a bug must never look like a verdict
        say(traceback.format_exc())
        say("rateproof: internal error: this is a bug, please report it")
        return INTERNAL_ERROR
    return code


def entry(argv: Sequence[str] | None = None, *, program: str | None = None) -> NoReturn:
    """Run one command and end the process with its exit code; arguments as for `main`."""
    code = main(argv, program=program)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a late Ctrl-C must not change the code
    sys.exit(code)


def _serve(arguments: argparse.Namespace) -> int:
    from rateproof.enforce.server import SettingsSources, serve

    flags = {name: _text(value) for name, value in vars(arguments).items()}
    sources = SettingsSources(flags, os.environ)
    if sources.warning:
        say(sources.warning)
    settings = replace(sources.read(), json=arguments.json, with_parent=arguments.with_parent)
    serve(settings, sources.read if sources.file else None)
    return 0


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _simulate(arguments: argparse.Namespace) -> int:
    from rateproof.simulate.client.live import ClientSettings, run_client

    return run_client(
        ClientSettings(
            scenario_file=arguments.scenario,
            url=arguments.url,
            clients=arguments.clients,
            connections=arguments.connections,
            behaviour=arguments.behaviour,
            rate_per_s=arguments.rate,
            policy=arguments.policy,
            key=arguments.key,
            duration_ns=arguments.duration,
            seed=arguments.seed,
            timeout_ns=arguments.timeout,
            connect_timeout_ns=arguments.connect_timeout,
            max_rate=arguments.max_rate,
            rejected_statuses=arguments.rejected,
            max_connections=arguments.max_connections,
            method=arguments.method,
            headers=tuple(arguments.header or ()),
            body=None if arguments.data is None else arguments.data.body,
            ca_file=arguments.cacert,
            insecure=arguments.insecure,
            transport=arguments.transport,
            threads=arguments.threads,
            log=arguments.log,
            json=arguments.json,
            yes=arguments.yes,
            plain=arguments.plain,
        )
    )


def _test(arguments: argparse.Namespace) -> int:
    from rateproof.events import REJECTED_STATUSES
    from rateproof.hunt import TestSettings, run_test
    from rateproof.hunt.report import JUnitReport, Reporter, html_report
    from rateproof.hunt.server.nemesis import parse_deeds
    from rateproof.simulate.scenario import fresh_seed
    from rateproof.simulate.target import Target

    recipe, body = _recipe(arguments), arguments.data or Data()
    reporters: list[Reporter] = [html_report(Path(arguments.out))]
    if arguments.junit is not None:
        reporters.append(JUnitReport(arguments.junit, claims_of(arguments)))
    return run_test(
        TestSettings(
            target=Target.parse(arguments.url),
            policy=arguments.policy,
            key=arguments.key,
            seed=fresh_seed() if arguments.seed is None else arguments.seed,
            claims=claims_of(arguments),
            tolerance_ppm=arguments.tolerance,
            granularity_ns=arguments.granularity,
            denied_count=arguments.count_denied,
            timeout_ns=arguments.timeout,
            max_rate=arguments.max_rate,
            rejected_statuses=arguments.rejected or REJECTED_STATUSES,
            yes=arguments.yes,
            may_start=not arguments.no_start,
            iterations=arguments.iterations or (1 if recipe else None),
            duration_ns=arguments.duration,
            start=arguments.start,
            nemesis=parse_deeds(arguments.nemesis),
            fail_fast=arguments.fail_fast,
            shrink=not arguments.no_shrink,
            recipe=recipe,
            out=Path(arguments.out),
            json_lines=arguments.json,
            method=arguments.method or "GET",
            headers=tuple(arguments.header or ()),
            body=body.body,
            body_file=body.file,
            transport=arguments.transport,
            ca_file=arguments.cacert,
            insecure=arguments.insecure,
        ),
        reporters,
    )


def _recipe(arguments: argparse.Namespace) -> "Recipe | None":
    """What is to be run instead of what would be drawn."""
    from rateproof.hunt.recipe import Phase, Recipe
    from rateproof.simulate.behaviours.schedule import Schedule

    if arguments.schedule is None:
        for name in ("connections", "others", "phase"):
            if getattr(arguments, name) is not None:
                raise InvalidArgument(f"--{name} without --schedule", "it belongs to a schedule")
        return None
    window_ns = arguments.policy.quotas[0].window_ns
    return Recipe(
        Schedule.parse(arguments.schedule),
        connections=arguments.connections or 1,
        others=None if arguments.others is None else Schedule.parse(arguments.others),
        phase=None if arguments.phase is None else Phase.parse(arguments.phase, window_ns),
    )


def _check(arguments: argparse.Namespace) -> int:
    from rateproof.checking import check

    return check(arguments)


def _probe(arguments: argparse.Namespace) -> int:
    from rateproof.events import REJECTED_STATUSES
    from rateproof.probe import ProbeSettings, run_probe
    from rateproof.simulate.target import Target

    settings = ProbeSettings(
        target=Target.parse(arguments.url),
        key=arguments.key,
        max_requests=arguments.max_requests,
        max_time_ns=arguments.max_time,
        timeout_ns=arguments.timeout,
        max_rate=arguments.max_rate,
        rejected_statuses=arguments.rejected or REJECTED_STATUSES,
        method=arguments.method or "GET",
        headers=tuple(arguments.header or ()),
        body=arguments.data.body if arguments.data else b"",
        yes=arguments.yes,
        json=arguments.json,
        transport=arguments.transport,
        ca_file=arguments.cacert,
        insecure=arguments.insecure,
    )
    # It ends as for Ctrl-C.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run_probe(settings)
    finally:
        signal.signal(signal.SIGTERM, before)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "simulate": _simulate,
    "test": _test,
    "check": _check,
    "probe": _probe,
}
