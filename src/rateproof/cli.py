"""The command line: one command a verb. `arguments.py` reads, the rooms work.

Data goes to stdout, progress and hints to stderr. Exit codes: 0 done and
nothing wrong found, 1 violated or the server under test crashed, 2
inconclusive, 64 bad arguments, 65 unreadable log, 69 target unreachable or
port taken, 70 internal error, 73 cannot write, 130 interrupted before there
was a verdict.
"""

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from rateproof.arguments import CLAIMS, DEFAULT_POLICY, parse
from rateproof.errors import InvalidArgument, LogError, RateproofError
from rateproof.output import emit, say
from rateproof.policy import Policy

__all__ = ["entry", "main"]

INTERNAL_ERROR, INTERRUPTED = 70, 130
VERDICT_CODES = {"consistent": 0, "violated": 1, "inconclusive": 2}


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
            max_connections=arguments.max_connections,
            method=arguments.method,
            headers=tuple(arguments.header or ()),
            body=arguments.data,
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
    from rateproof.hunt import TestSettings, run_test
    from rateproof.simulate.scenario import fresh_seed
    from rateproof.simulate.target import Target

    return run_test(
        TestSettings(
            target=Target.parse(arguments.url),
            policy=arguments.policy,
            key=arguments.key,
            seed=fresh_seed() if arguments.seed is None else arguments.seed,
            claims=_claims(arguments),
            tolerance_ppm=arguments.tolerance,
            timeout_ns=arguments.timeout,
            max_rate=arguments.max_rate,
            yes=arguments.yes,
            may_start=not arguments.no_start,
            iterations=arguments.iterations,
            fail_fast=arguments.fail_fast,
            out=Path(arguments.out),
            json_lines=arguments.json,
            transport=arguments.transport,
            ca_file=arguments.cacert,
            insecure=arguments.insecure,
        )
    )


def _check(arguments: argparse.Namespace) -> int:
    from rateproof.events import read_log
    from rateproof.prove import judge

    log = read_log(arguments.log, arguments.key)
    verdict = judge(
        log,
        _policy(arguments.policy, log.metadata.get("policy")),
        claims=_claims(arguments),
        tolerance_ppm=arguments.tolerance,
    )
    emit(json.dumps(verdict.to_json()) if arguments.json else verdict.describe())
    return VERDICT_CODES[verdict.outcome]


def _policy(given: Policy | None, noted: object) -> Policy:
    """What a log is judged by: what was given, else what its metadata names, else the default."""
    named = None
    if isinstance(noted, str):
        try:
            named = Policy.parse(noted)
        except InvalidArgument as error:
            if given is None:
                raise LogError(f"the log's policy: {error.message}", "give --policy") from error
    if given is None and named is not None:
        say(f"policy of the log: {named}")
    elif given is not None and named is not None and given != named:
        say(f"hint: the log was made for the policy '{named}', and is judged by '{given}'")
    return given or named or Policy.parse(DEFAULT_POLICY)


def _claims(arguments: argparse.Namespace) -> frozenset[str]:
    return frozenset(CLAIMS if arguments.claim == "all" else {arguments.claim})


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "simulate": _simulate,
    "test": _test,
    "check": _check,
}
