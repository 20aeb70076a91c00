"""A row of the league: how its limiter is started, and what is known of it beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["POLICY", "Place", "Row", "Truth"]

POLICY = "5 per 5s"


class Truth(StrEnum):
    """The truth of "admits more than 5 in some 5 s", as the limiter's source says."""

    YES = "yes"
    NO = "no"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one run of a row.

    Args:
        port: the loopback port that the limiter is to listen on.
        backing_port: another free port, for a store that it needs.
        folder: an empty folder of its own.
    """

    port: int
    backing_port: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limiter in one configuration.

    Args:
        name: what the table calls it; unique.
        truth: whether it admits more than `POLICY` says.
        why: the truth's reason, one sentence.
        worst: the most that it admits in less than 5 s, as derived; None: not known.
        needs: system programs without which the row cannot be run.
        version: of everything that decides, read from what is installed.
        commands: what to start, in this order; the last one listens on `Place.port`.
            Every command is a whole argument vector; files it needs are written to
            `Place.folder`.
    """

    name: str
    truth: Truth
    why: str
    worst: int | None
    needs: tuple[str, ...] = ()
    version: Callable[[], str]
    commands: Callable[[Place], Sequence[Sequence[str]]]
