"""Judge a running limiter by `rateproof test`, as a black box over HTTP."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from league.installed import ROOT
from league.row import POLICY
from league.start import end_group

__all__ = ["Budget", "Judgement", "judge", "read_report"]

_KEY = "query:clientId"
_CLAIM = "over-admission"
_STEP_S = 0.1
_LAST_WORDS_S = 60.0
_CONSISTENT, _VIOLATED = 0, 1


@dataclass(frozen=True, slots=True)
class Budget:
    """Time that one hunt may take.

    Args:
        hunt_s: without a violation, until it is stopped.
        shrink_s: once there is one, for the shortest schedule that shows it; 0: look for none.
        worst_s: after that, for the most that is let through; 0: look for none.
    """

    hunt_s: float = 40.0
    shrink_s: float = 60.0
    worst_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The findings of a hunt.

    Args:
        verdict: on over-admission: `consistent`, `violated` or `inconclusive`.
        worst: the most admissions of one key that certainly lay in less than 5 s.
        sought: whether it was looked for after the first violation, and found.
        schedule: the shortest traffic that showed it again; empty if there is none.
        reproduced: with how many fresh clients it did.
        tries: how many tried.
        needless: `yes` if a rejection was certainly without need, `denials count` if it was not
            where denied requests use up the limit too; else empty.
        headers: whether Retry-After and RateLimit values were `true` whenever they were put to
            the test, or `false` at least once; empty if they never were.
        crashed: whether the server stopped answering meanwhile.
        seed: of the hunt; 0 if it was stopped before its first iteration ended.
    """

    verdict: str
    worst: int
    sought: bool
    schedule: str
    reproduced: int
    tries: int
    needless: str
    headers: str
    crashed: bool
    seed: int


def judge(url: str, budget: Budget) -> Judgement:
    """Hunt for traffic that is admitted too often, until found or out of time.

    Raises:
        RuntimeError: `rateproof test` printed no verdict; with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="league-") as name:
        folder = Path(name)
        printed = _hunt(url, folder, budget)
        logs = list(folder.glob("test_log_*"))
        return read_report(printed, needless=_needless(logs), headers=_headers(logs))


def read_report(printed: str, *, needless: str = "", headers: str = "") -> Judgement:
    """Read the JSON lines of `rateproof test`.

    Args:
        printed: a line for each iteration, and one for the totals.
        needless: as in `Judgement`.
        headers: the same.

    Raises:
        RuntimeError: the totals are missing.
    """
    reports = [json.loads(line) for line in printed.splitlines()]
    iterations = [report for report in reports if isinstance(report.get("verdict"), dict)]
    totals = [report for report in reports if isinstance(report.get("verdict"), str)]
    if not totals:
        raise RuntimeError("rateproof test printed no totals")
    return Judgement(
        verdict=totals[-1]["verdict"],
        worst=max(
            *(found["certain"] for found in totals[-1].get("worst", ())),
            *(_worst(report["verdict"]) for report in iterations),
            0,
            0,
        ),
        sought=bool(totals[-1].get("worst")),
        **_schedule(totals[-1]["reproductions"]),
        needless=needless,
        headers=headers,
        crashed=bool(totals[-1]["crashes"]),
        seed=iterations[0]["seed"] if iterations else 0,
    )


def _schedule(reproductions: list[dict[str, Any]]) -> dict[str, Any]:
    """The first that happened again with most of the fresh clients that tried it."""
    for each in reproductions:
        text = each["schedule"]
        if text and each["kind"] == _CLAIM and 2 * each["reproduced"] > each["tries"]:
            if each["connections"] > 1:
                text += f"; on {each['connections']} connections"
            if each["others"]:
                text += f"; meanwhile other clients: {each['others']}"
            if each["phase"]:
                text += f"; from the phase {each['phase']} of Unix time on"
            return {"schedule": text, "reproduced": each["reproduced"], "tries": each["tries"]}
    return {"schedule": "", "reproduced": 0, "tries": 0}


def _worst(verdict: dict[str, Any]) -> int:
    provable = [pressure["provable"] for pressure in verdict["pressure"]]
    return max([*provable, *_seen_within_a_window(verdict)], default=0)


def _seen_within_a_window(verdict: dict[str, Any]) -> Iterator[int]:
    for piece in verdict["evidence"]:
        if piece["nested"] and piece["window_ns"] == 5_000_000_000:
            yield piece["seen"]


def _hunt(url: str, folder: Path, budget: Budget) -> str:
    command = [
        *(sys.executable, "-m", "rateproof", "test", url, "--policy", POLICY, "--key", _KEY),
        *("--claim", _CLAIM, "--fail-fast", "--json", "--out", str(folder)),
        *("--shrink-time", f"{budget.shrink_s:g}s", "--worst-time", f"{budget.worst_s:g}s"),
    ]
    lines, words = folder / "lines.jsonl", folder / "words.txt"
    with lines.open("wb") as stdout, words.open("wb") as stderr:
        process = subprocess.Popen(
            command, env=_ENVIRONMENT, stdout=stdout, stderr=stderr, start_new_session=True
        )
        try:
            _wait(process, lines, budget)
        finally:
            end_group(process, signal.SIGTERM)
    printed = lines.read_text()
    if not printed.endswith("\n"):
        raise RuntimeError(words.read_text().strip().rpartition("\n")[2] or "it printed nothing")
    return printed


def _wait(process: subprocess.Popen[bytes], lines: Path, budget: Budget) -> None:
    """Until the hunt ends by itself, or its time is up and it has been asked to end."""
    began = time.monotonic()
    limit_s = budget.hunt_s
    while process.poll() is None and time.monotonic() < began + limit_s:
        time.sleep(_STEP_S)
        if b'"violated"' in lines.read_bytes():
            limit_s = budget.hunt_s + budget.shrink_s + budget.worst_s
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_WORDS_S)


def _needless(logs: list[Path]) -> str:
    if _VIOLATED not in _checked(logs, "wrong-rejection"):
        return ""
    counted = _VIOLATED not in _checked(logs, "wrong-rejection", "--count-denied")
    return "denials count" if counted else "yes"


def _headers(logs: list[Path]) -> str:
    codes = _checked(logs, "headers")
    if _VIOLATED in codes:
        return "false"
    return "true" if _CONSISTENT in codes else ""


def _checked(logs: list[Path], claim: str, *options: str) -> set[int]:
    """The exit codes of `rateproof check` on each log."""
    command = (sys.executable, "-m", "rateproof", "check", "--policy", POLICY, "--claim", claim)
    return {
        subprocess.run(
            [*command, *options, str(log)], env=_ENVIRONMENT, capture_output=True, check=False
        ).returncode
        for log in logs
    }


_ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}
