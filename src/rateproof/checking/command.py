"""`rateproof check`: a log, or a piece of evidence, is read, judged and told of."""

import argparse
import json
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from rateproof import linux
from rateproof.answer import answer
from rateproof.checking.named_log import (
    READ_BY,
    LogRoom,
    hint_of_key,
    name_of,
    read,
    reading_of,
    refuse_several,
    source_of,
)
from rateproof.checking.result import answered, claims_of, report, tell, warnings_of, write_evidence
from rateproof.clock import Tolerance
from rateproof.cluster import connected
from rateproof.errors import InvalidArgument, LogError, readable
from rateproof.events import EventLog, derived, known_clients_only, listed, noted_statuses
from rateproof.events.access_logs.rotation import live
from rateproof.events.access_logs.scan import LIMITERS_503
from rateproof.events.files import read_files
from rateproof.events.impossible import doubt_of_unit, refuse_impossible
from rateproof.events.parquet import available
from rateproof.events.places import path_of
from rateproof.events.shares import pieces_on
from rateproof.events.splitter import in_pieces
from rateproof.options.declared import VERBS
from rateproof.options.shared import DEFAULT_POLICY
from rateproof.output import emit, printable, say
from rateproof.policy import Policy
from rateproof.prove import judge, judge_keys, verify
from rateproof.prove.evidence import Document
from rateproof.prove.keys import first_late
from rateproof.prove.power.stamps import stamped
from rateproof.prove.terms import OVER_ADMISSION

_LINES_AT_ONCE: Final = 1_000

VERDICT_CODES: Final = {"consistent": 0, "violated": 1, "inconclusive": 2}


def check(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code of what was found.

    Raises:
        LogError: neither a log nor evidence, or one that is damaged.
        InvalidArgument: what is asked for cannot be done with it.
        CannotWrite: a file that was asked for cannot be written.
    """
    if arguments.report is not None:
        from rateproof.hunt.report.page import require_jinja

        require_jinja()  # before the work, not after it
    name = name_of(arguments.log)
    if arguments.follow:
        return _follow(arguments)
    _refuse(arguments, ("fail_fast", "metrics_port"), "without --follow")
    if arguments.on is not None:
        return _check_on(arguments, name)
    refuse_several(arguments.log)
    with ExitStack() as stack:
        free = linux.free_memory()
        memory = arguments.memory or (free and free // 2)
        bounded = arguments.memory is not None or available()
        source = source_of(arguments.log)
        settings = [getattr(arguments, option) for option in READ_BY]
        room = LogRoom(memory if bounded else None, stack, source, settings)
        found = read(arguments.log, arguments.key, reading_of(arguments), room)
        if isinstance(found, Path):
            return _check_parquet(arguments, found, name, lasting=source is not None)
    return _check_found(arguments, found, name)


def _check_parquet(arguments: argparse.Namespace, path: Path, name: str, *, lasting: bool) -> int:
    """Judge a log in Parquet, in pieces if it does not fit in memory."""
    shown = arguments.report is not None or bool(os.environ.get("GITHUB_ACTIONS"))
    asked = arguments.rejected_statuses, arguments.admitted_statuses
    settings = [None if one is None else sorted(one) for one in asked]
    prepared = _prepared(arguments, "a log that does not fit in memory")
    given = path, arguments.memory, prepared, say, settings
    with readable(name), in_pieces(*given, name=name, lasting=lasting) as pieces:
        if pieces is not None:
            return _check_log(arguments, pieces)
    return _check_found(arguments, read_files([path], name, to_judge=not shown), name)


def _check_on(arguments: argparse.Namespace, name: str) -> int:
    """Judge a log in Parquet, whose files all workers of a cluster can read."""
    others = [one for one in arguments.log if not one.endswith(".parquet")]
    if others:
        hint = "it takes logs in Parquet; `rateproof plan --on` takes access logs"
        raise InvalidArgument(f"--on {arguments.on} with {printable(others[0])}", hint)
    hint_of_key(arguments.key)
    asked = argparse.Namespace(
        rejected_statuses=arguments.rejected_statuses, admitted_statuses=arguments.admitted_statuses
    )
    prepared = _prepared(arguments, "--on"), partial(_prepared_rows, asked, told=True)
    with connected(arguments.on) as cluster:
        paths = list(map(path_of, arguments.log))
        given = cluster, paths, arguments.memory, prepared, say
        with readable(name), pieces_on(*given, name=name) as pieces:
            if pieces is not None:
                return _check_log(arguments, pieces)
    return _check_found(arguments, read_files(paths, name), name)


def _check_found(arguments: argparse.Namespace, found: EventLog | dict[str, Any], name: str) -> int:
    of_access_log = isinstance(found, EventLog) and "access_log" in found.metadata
    chosen = [each for each in ("where", "since", "until") if getattr(arguments, each) is not None]
    if chosen and not of_access_log:
        raise InvalidArgument(f"--{chosen[0]} chooses lines of access logs, and {name} is none")
    if isinstance(found, EventLog):
        found = _by_statuses(arguments, found)
        refuse_impossible(found, name)
        if doubt := doubt_of_unit(found):
            say(f"hint: {doubt}")
        return _check_log(arguments, known_clients_only(found))
    return _check_evidence(arguments, found, name)


def _prepared_rows(arguments: argparse.Namespace, log: EventLog, *, told: bool) -> EventLog:
    return known_clients_only(_by_statuses(arguments, log, told=told))


def _prepared(arguments: argparse.Namespace, with_what: str) -> Callable[[EventLog], EventLog]:
    """Return how rows are made ready to be judged, of a log that is read bit by bit."""
    turns = count()
    late: list[int] = []

    def prepared(log: EventLog) -> EventLog:
        told, metadata = next(turns) > 0, log.metadata
        chosen = () if "access_log" in metadata else ("where", "since", "until")
        whole = ("by_key", "report", *chosen)
        _refuse(arguments, whole, f"with {with_what}", "it takes the whole log")
        log = _prepared_rows(arguments, log, told=told)
        if "complete_ns" in metadata:
            if arguments.on is not None:  # what each worker found would have to be gathered
                raise InvalidArgument("--on with rows of an access log", "check them without it")
            since_ns, until_ns = metadata["complete_ns"]
            late.extend(one for one in [first_late(log, until_ns)] if one is not None)
            log = log.noting(complete_ns=[since_ns, until_ns, min(late, default=None)])
        return log

    return prepared


def _rejecting(log: EventLog, rejected: frozenset[int], *, told: bool) -> EventLog:
    noted = noted_statuses(log.metadata)
    if noted not in (None, rejected) and not told:
        say(
            f"hint: the log was made with {listed(noted)} for rejections, and is judged with "
            f"{listed(rejected)}"
        )
    assumptions = log.metadata.get("assumptions")
    if 503 not in rejected and isinstance(assumptions, list):
        log = log.noting(assumptions=[one for one in assumptions if one != LIMITERS_503])
    return derived(log, rejected)


def _check_evidence(arguments: argparse.Namespace, data: dict[str, Any], name: str) -> int:
    for option in VERBS["check"].options:
        given = getattr(arguments, option.inside)
        told = given is not None and given is not False  # 0 is an answer
        if told and option.name not in {"log", "json"}:
            raise InvalidArgument(
                f"{option.flag} with {name}, which is evidence",
                "evidence is judged by what it says",
            )
    try:
        verdict = verify(Document.read(data))
    except LogError as error:
        raise LogError(f"{name}: {error.message}", error.hint) from error
    tell(arguments, verdict)
    return VERDICT_CODES[verdict.outcome]


def _check_log(arguments: argparse.Namespace, log: EventLog) -> int:
    policy = _policy(arguments.policy, log.metadata.get("policy"))
    tolerance, counted = _tolerance(arguments), arguments.denied_count
    told = _judging(arguments)
    verdict = judge(log, policy, **told)
    if OVER_ADMISSION in told["claims"]:
        reasons = (*verdict.reasons, *stamped(log, policy, tolerance))
        verdict = replace(verdict, reasons=reasons)
    if arguments.allow_untested:
        verdict = verdict.allowing_untested()
    keys = judge_keys(log, policy, **told) if arguments.by_key else None
    if keys is not None and arguments.allow_untested:
        keys = [replace(key, verdict=key.verdict.allowing_untested()) for key in keys]
    if arguments.report or arguments.junit or os.environ.get("GITHUB_ACTIONS"):
        report(arguments, log, policy, verdict, tolerance)
    if arguments.evidence is not None:
        write_evidence(arguments.evidence, verdict, tolerance, log, denied_count=counted)
    if keys is not None:
        lines = (json.dumps(key.to_json()) if arguments.json else key.sentence() for key in keys)
        while some := "\n".join(islice(lines, _LINES_AT_ONCE)):
            emit(some, sentences=not arguments.json)
        say("\n".join([*answer(verdict), *(f"warning: {one}" for one in warnings_of(log))]))
    else:
        tell(arguments, verdict, warnings_of(log))
    return VERDICT_CODES[verdict.outcome]


def _refuse(
    arguments: argparse.Namespace, options: Sequence[str], why: str, hint: str | None = None
) -> None:
    for option in options:
        if getattr(arguments, option):
            raise InvalidArgument(f"--{option.replace('_', '-')} {why}", hint)


def _judging(arguments: argparse.Namespace) -> dict[str, Any]:
    tolerance = _tolerance(arguments)
    return {
        "claims": claims_of(arguments),
        "tolerance_ppm": tolerance.ppm,
        "granularity_ns": tolerance.granularity_ns,
        "denied_count": arguments.denied_count,
        "fresh_keys": arguments.fresh_keys,
    }


def _follow(arguments: argparse.Namespace) -> int:
    """Judge a log that grows; the exit code of what was found."""
    from rateproof.checking.following import follow
    from rateproof.checking.watch import LogWatch
    from rateproof.hunt.signals import Signals

    paths = live(arguments.log)
    if len(paths) > 1 and arguments.skew_ns is None:
        raise InvalidArgument(
            f"--follow of {len(paths)} files without --skew",
            "the one that the server writes to; or --skew 50ms of hosts whose clocks differ so much",
        )
    of_whole = ("on", "evidence", "report", "junit", "by_key", "fresh_keys")
    _refuse(arguments, of_whole, "with --follow", "check the file once it is whole")
    if arguments.claim in {"headers", "all"}:
        raise InvalidArgument(f"--claim {arguments.claim} with --follow", "a log has no headers")
    stop = threading.Event()

    def found(line: str) -> None:
        if not (arguments.fail_fast and stop.is_set()):
            emit(line)
        if arguments.fail_fast:
            stop.set()

    policy = _policy(arguments.policy, None)
    watch = LogWatch(
        policy,
        _judging(arguments),
        lambda log: _by_statuses(arguments, log),
        found,
        logs=len(paths),
    )
    reading = reading_of(arguments)
    reading = reading if arguments.key is None else replace(reading, key=arguments.key)
    with Signals(stop, "what was read is judged").handled():
        verdict = follow(paths, reading, watch, stop, metrics_port=arguments.metrics_port)
    if arguments.allow_untested:
        verdict = verdict.allowing_untested()
    say("\n".join(answered(verdict, verdict.reasons)))
    if arguments.json:
        emit(json.dumps({"answer": answer(verdict)[0], **verdict.to_json()}))
    return VERDICT_CODES[verdict.outcome]


def _by_statuses(arguments: argparse.Namespace, log: EventLog, *, told: bool = False) -> EventLog:
    """The log with the outcomes that follow from the statuses that are told."""
    if arguments.rejected_statuses is not None:
        log = _rejecting(log, arguments.rejected_statuses, told=told)
    if arguments.admitted_statuses is not None:
        log.metadata["admitted_statuses"] = sorted(arguments.admitted_statuses)
    return log


def _tolerance(arguments: argparse.Namespace) -> Tolerance:
    ppm, granularity_ns = arguments.tolerance_ppm, arguments.granularity_ns
    return Tolerance(Tolerance().ppm if ppm is None else ppm, granularity_ns or 0)


def _policy(given: Policy | None, noted: object) -> Policy:
    """The policy of a log: the one given, else the one in its metadata, else the default."""
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
    elif given is None:
        say(f"policy: {DEFAULT_POLICY} (default)")
    return given or named or Policy.parse(DEFAULT_POLICY)
