"""Run the league: `python -m league`, or `make league`.

Each result is a line of JSON on stdout. Exits 0 when a row was run and none came out wrong or
failed, else 1; a row whose program is not here is left out.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from league import page, results
from league.installed import ROOT
from league.judge import Budget, judge
from league.limiters import ROWS
from league.prepare import prepare
from league.results import Result
from league.row import Row
from league.start import DidNotStart, running

_PAGE = ROOT / "docs" / "league.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows, print the results, write the page."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for word in options.only or ():
        if not any(_is_named(row, [word]) for row in ROWS):
            parser.error(f"no row has {word!r} in its name")
    rows = [row for row in ROWS if _is_named(row, options.only)]
    try:
        prepare()
    except subprocess.CalledProcessError as error:
        print(f"league: cannot install what it runs: {error}", file=sys.stderr)
        return 1
    earlier = results.read(options.results) if options.results else []
    known = [result for result in earlier if result.was_run]
    done = {(result.row, result.run) for result in known}
    first, later = Budget(options.seconds), Budget(options.seconds, shrink_s=0, worst_s=0)
    todo = [(row, run) for run in range(1, options.runs + 1) for row in rows]
    try:
        for row, run in todo:
            if (row.name, run) not in done:
                known.append(_run(row, run, first if run == 1 else later))
                _keep(known[-1], options.results)
    except KeyboardInterrupt:  # the servers have ended on its way up
        return 130
    if not options.only:  # else rows would be lost from it
        _PAGE.write_text(page.render(ROWS, known, options.seconds))
    ran = any(result.was_run for result in known)
    return 0 if ran and all(result.is_right for result in known) else 1


def _is_named(row: Row, words: Sequence[str] | None) -> bool:
    return not words or any(word.lower() in row.name.lower() for word in words)


def _run(row: Row, run: int, budget: Budget) -> Result:
    say = f"{row.name}, run {run}"
    print(f"{say}: started", file=sys.stderr, flush=True)
    began = time.monotonic()
    missing = [program for program in row.needs if not shutil.which(program)]
    if missing:
        result = _without_verdict(row, run, "not run", f"no {' and no '.join(missing)} here")
    else:
        try:
            with running(row) as url:
                judged = judge(url, budget)
        except (DidNotStart, RuntimeError) as error:
            result = _without_verdict(row, run, "failed", str(error))
        else:
            result = Result(
                row=row.name,
                run=run,
                date=_today(),
                version=row.version(),
                truth=row.truth,
                verdict=judged.verdict,
                reason="the server stopped answering" if judged.crashed else "",
                worst=judged.worst,
                sought=judged.sought,
                schedule=judged.schedule,
                reproduced=judged.reproduced,
                tries=judged.tries,
                needless=judged.needless,
                headers=judged.headers,
                took_s=round(time.monotonic() - began, 1),
                seed=judged.seed,
            )
    wrong = "" if result.is_right else " (WRONG)"
    print(f"{say}: {result.verdict}{wrong} {result.reason}", file=sys.stderr, flush=True)
    return result


def _without_verdict(row: Row, run: int, verdict: str, reason: str) -> Result:
    return Result(
        row=row.name,
        run=run,
        date=_today(),
        version="",
        truth=row.truth,
        verdict=verdict,
        reason=reason,
    )


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _keep(result: Result, file: Path | None) -> None:
    line = results.write(result)
    print(line, flush=True)
    if file is not None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="league", description=__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        default=1,
        help="of each row, only the first of which is shrunk; default: 1",
    )
    parser.add_argument("--seconds", type=float, default=40, help="of each hunt; default: 40")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="WORD",
        help="rows whose name has one of these words; docs/league.md is left as it is",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="results so far, as JSON lines: what is there is not run again, the rest is added",
    )
    return parser


def entry() -> None:
    """Run as a program, whose servers end with it on SIGTERM as on Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())


if __name__ == "__main__":
    entry()
