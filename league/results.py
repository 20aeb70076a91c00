"""Results of each run of each row, as JSON lines."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from league.row import Truth

__all__ = ["Result", "read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run of one row.

    Args:
        row: its name.
        run: its number, from 1.
        date: the day, as 2026-11-25.
        version: of everything that decided.
        truth: as in `Row`.
        verdict: `consistent`, `violated` or `inconclusive`; `not run` where a program is
            missing, `failed` where the limiter did not start or the hunt had no verdict.
        reason: why there is no verdict, or what else must be known of it.
        worst: the most admissions that certainly lay in less than 5 s.
        schedule: the shortest traffic that showed it again.
        reproduced: with how many fresh clients it did.
        tries: how many tried.
        needless: rejections without need, as in `Judgement`.
        headers: what they said, as in `Judgement`.
        took_s: how long the hunt and its shrinking took.
        seed: of the hunt.
    """

    row: str
    run: int
    date: str
    version: str
    truth: Truth
    verdict: str
    reason: str = ""
    worst: int = 0
    schedule: str = ""
    reproduced: int = 0
    tries: int = 0
    needless: str = ""
    headers: str = ""
    took_s: float = 0.0
    seed: int = 0

    @property
    def was_run(self) -> bool:
        """True if there is a verdict."""
        return self.verdict not in {"not run", "failed"}

    @property
    def is_right(self) -> bool:
        """Every yes is found, and no no is called yes; where either is possible, both are right.

        What was not run is not wrong, but what failed is.
        """
        if not self.was_run or self.truth is Truth.EITHER:
            return self.verdict != "failed"
        return (self.verdict == "violated") == (self.truth is Truth.YES)


def write(result: Result) -> str:
    """One line of JSON."""
    return json.dumps(asdict(result))


def read(path: Path) -> list[Result]:
    """Every result of a file that `write` wrote to; none where there is no file."""
    if not path.exists():
        return []
    lines = map(json.loads, path.read_text().splitlines())
    return [Result(**values | {"truth": Truth(values["truth"])}) for values in lines]
