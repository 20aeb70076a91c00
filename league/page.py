"""docs/league.md: the table, and how to make it again."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from league.results import Result
from league.row import Row

__all__ = ["render"]

_NEARLY = 0.8

_HEAD = """\
# The league

Real limiters, each set to 5 requests in 5 seconds for each client and judged against "never more than
5 in any 5 seconds" by `rateproof test`, which knows nothing of them but their URL. The rows are
runs of `make league`{dates}.

- *More than 5?* is what the limiter's source says, whatever was seen. Where it says *either*, theory
  and a clock in milliseconds differ by so little that both verdicts can be right.
- *Found* counts the runs in which more than 5 were proven; rows were run more or less often. *Worst found / possible* is
  the most admissions of one client that certainly lay in less than 5 seconds by our clock, and the most that the
  source allows (?: not derived). Where it says *either*, 6 may be seen in a hair less than 5 seconds and yet be no
  violation found, for the verdict leaves clocks a tolerance. With a star it was looked for after the first violation
  (`--worst-time`); else it is the most that an iteration saw.
- *Schedule* is the shortest traffic of one client that was found to show it again, and with how many of
  the fresh clients who tried it did. Where the limiter's windows follow the clock, that is a matter of luck.
- *Needless*: a rejection was seen that "5 in any 5 s" does not call for, or calls for only if denied
  requests count as well. That breaks no promise of a limiter that promises something else.
- *Headers*: whether what Retry-After and RateLimit said came true whenever it could be checked.

| limiter | more than 5? | found | worst found / possible | schedule | needless | headers | versions |
|---|---|---|---|---|---|---|---|
"""

_TAIL = """
{right}

## Why

{reasons}

## Run it again

    make league                                   # every row once
    make league RUNS=10                           # ten times
    .venv/bin/python -m league --only nginx       # rows whose name contains a word

The first run installs what the rows need into `.league/`: Python packages always, and Node's and Go's
where `npm` and `go` are. nginx, HAProxy, Varnish, Redis, Node and Go come from the system; rows without their
program are left out, and so are missing here. A row is hunted for {hunt_s:g} s, or until the first violation.

## Add a row

A limiter is a file in `league/limiters/` with its `ROWS`, and a line in `league/limiters/__init__.py`.
A `Row` says how to start it on a given port, which version it is, and whether its source admits more than
5 in some 5 s, with the reason. It has to read the client from the query parameter `clientId`, and to answer
200, or 429 or 503. If it needs an application around it, that goes to `league/apps/`.
"""


def render(rows: Sequence[Row], results: Iterable[Result], hunt_s: float) -> str:
    """The page as text; only of rows that were run.

    Args:
        rows: every row, in the order of the table.
        results: of any number of runs.
        hunt_s: how long each row was hunted.
    """
    ran = sorted((result for result in results if result.was_run), key=lambda result: result.row)
    by_row = {name: list(group) for name, group in groupby(ran, key=lambda result: result.row)}
    shown = [row for row in rows if row.name in by_row]
    dates = sorted({result.date for result in ran})
    lines = [_line(row, by_row[row.name]) for row in shown]
    return "".join(
        [
            _HEAD.format(dates=_between(dates)),
            *lines,
            _TAIL.format(
                right=_right([by_row[row.name] for row in shown]),
                reasons="\n".join(_reasons(shown)),
                hunt_s=hunt_s,
            ),
        ]
    )


def _between(dates: Sequence[str]) -> str:
    if not dates:
        return ""
    return f" on {dates[0]}" if len(dates) == 1 else f" between {dates[0]} and {dates[-1]}"


def _line(row: Row, results: Sequence[Result]) -> str:
    found = sum(result.verdict == "violated" for result in results)
    worst = max(results, key=lambda result: (result.worst, result.sought))
    cells = [
        row.name,
        str(row.truth),
        f"{found} of {len(results)}",
        f"{worst.worst}{'*' * worst.sought} / {row.worst or '?'}",
        _schedule(results),
        _first([result.needless for result in results], "yes", "denials count"),
        _first([result.headers for result in results], "false", "true"),
        "; ".join(sorted({result.version for result in results})),
    ]
    return f"| {' | '.join(cells)} |\n"


def _first(seen: Sequence[str], *words: str) -> str:
    """The first of the words that was seen in any run; the worse ones come first."""
    return next((word for word in words if word in seen), "")


def _schedule(results: Sequence[Result]) -> str:
    """The shortest of those that nearly always worked, if any did; else the most reliable."""
    shown = [result for result in results if result.schedule]
    if not shown:
        return ""

    def rank(each: Result) -> tuple[float, int]:
        return max(-_NEARLY, -each.reproduced / each.tries), len(each.schedule)

    best = min(shown, key=rank)
    return f"`{best.schedule}`, {best.reproduced} of {best.tries}"


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each reason, with all the rows that it is true of."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.why, []).append(row.name)
    for why, those in names.items():
        yield f"- {'; '.join(those)}: {why}."


def _right(groups: Sequence[Sequence[Result]]) -> str:
    known = [group for group in groups if group[0].truth != "either"]
    wrong = [group[0].row for group in known if not all(result.is_right for result in group)]
    runs = sum(map(len, known))
    if wrong:
        return f"Of the rows whose truth is known, these came out wrong at least once: {', '.join(wrong)}."
    return (
        f"The {len(known)} rows whose truth is known came out right in every run, {runs} runs in all: "
        "every yes was found, and no no was called a violation."
    )
