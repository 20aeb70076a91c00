"""The command line: one command a verb. `arguments.py` reads, the rooms work.

Data goes to stdout, progress and hints to stderr. Exit codes: 0 done and
nothing wrong found, 1 violated or the server under test crashed, 2
inconclusive, 64 bad arguments, 65 unreadable log, 69 target unreachable or
port taken, 70 internal error, 73 cannot write, 130 interrupted before there
was a verdict.
"""

import os
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from rateproof import linux
from rateproof.errors import RateproofError
from rateproof.output import emit, say

INTERNAL_ERROR, INTERRUPTED = 70, 130


def main(argv: Sequence[str] | None = None, *, program: str | None = None) -> int:
    """Run one command and return its exit code; never raises.

    Args:
        argv: the arguments after the program's name; `sys.argv[1:]` if None.
        program: how the person started the command, for help and hints;
            `rateproof COMMAND` if None.
    """
    try:
        linux.check_system()
        from rateproof.options.arguments import parse

        arguments = parse(sys.argv[1:] if argv is None else argv, program, os.environ)
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
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["service"]:
        # The program that takes this process's place finds a reload that was asked for meanwhile.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    code = main(argv, program=program)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a late Ctrl-C must not change the code
    sys.exit(code)


def _remark() -> None:
    """Say once that an install has no native core."""
    from rateproof.core import first_remark

    told = first_remark()
    if told is not None:
        say(f"rateproof: {told}")


def _serve(arguments: Namespace) -> int:
    from rateproof.enforce.server import ServerSettings, serve

    sources = arguments.sources
    for line in filter(None, (sources.warning, sources.notice)):
        say(line)

    def settings() -> ServerSettings:
        return ServerSettings.told(**sources.read(ServerSettings.check))

    told = settings()
    _remark()
    serve(told, settings if sources.file else None)
    return 0


def _service(arguments: Namespace) -> int:
    from rateproof.enforce.service import run_service

    sources = arguments.sources
    if sources.warning:
        say(sources.warning)
    sources.read()  # a mistake is told as by the other commands
    run_service(sources.file, sources.told)


def _simulate(arguments: Namespace) -> int:
    from rateproof.simulate.client.live import run_client
    from rateproof.simulate.client.settings import ClientSettings

    settings = ClientSettings.told(**vars(arguments))
    _remark()
    return run_client(settings)


def _test(arguments: Namespace) -> int:
    from rateproof.hunt import TestSettings, run_test, run_tests
    from rateproof.hunt.report.github import GitHubReport, on_github
    from rateproof.hunt.report.junit import JUnitReport
    from rateproof.hunt.report.page import HtmlReport
    from rateproof.hunt.report.reporter import Reporter

    tests = [TestSettings.of(run) for run in arguments.runs]
    _remark()
    reporters = list[Reporter]([HtmlReport(tests[0].out)])
    if arguments.junit is not None:
        reporters.append(JUnitReport(arguments.junit))
    if on_github():
        reporters.append(GitHubReport())
    if arguments.notice:
        say(arguments.notice)
    return run_test(tests[0], reporters) if len(tests) == 1 else run_tests(tests, reporters)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end it as Ctrl-C does, and wait where Ctrl-C waits: what it made is removed."""

    def end(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
        signal.raise_signal(signal.SIGINT)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers[1:]:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(arguments: Namespace) -> int:
    from rateproof.checking.command import check

    with _ending_in_order():
        return check(arguments)


def _plan(arguments: Namespace) -> int:
    from rateproof.plan.command import plan

    with _ending_in_order():
        return plan(arguments)


def _probe(arguments: Namespace) -> int:
    from rateproof.probe import ProbeSettings, run_probe

    if arguments.notice:
        say(arguments.notice)
    with _ending_in_order():
        return run_probe(ProbeSettings.told(**vars(arguments)))


def _store(arguments: Namespace) -> int:
    from rateproof.enforce.upkeep import keep_stores

    return keep_stores(arguments)


def _doctor(arguments: Namespace) -> int:
    from rateproof.enforce.doctor import run_doctor

    return run_doctor(arguments)


def _completion(arguments: Namespace) -> int:
    from rateproof.options.completion import completion

    emit(completion(arguments.shell))
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "serve": _serve,
    "service": _service,
    "simulate": _simulate,
    "test": _test,
    "check": _check,
    "plan": _plan,
    "probe": _probe,
    "store": _store,
    "doctor": _doctor,
    "completion": _completion,
}
