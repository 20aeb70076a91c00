"""Events that clients saw: one row for every request, none sampled.

The hall's common table: `simulate` writes it, `prove` judges it, and people
read it with any tool that reads Parquet or JSON lines.
"""

from rateproof.events.files import open_log_writer, read_log
from rateproof.events.log import (
    ADMITTED,
    COLUMNS,
    OUTCOMES,
    REJECTED,
    REJECTED_STATUSES,
    UNKNOWN,
    Event,
    EventLog,
    outcome_of,
)
from rateproof.events.outcomes import (
    declines,
    derived,
    known_clients_only,
    listed,
    noted_statuses,
    rejected_statuses,
)
from rateproof.events.writer import LogWriter

__all__ = [
    "ADMITTED",
    "COLUMNS",
    "OUTCOMES",
    "REJECTED",
    "REJECTED_STATUSES",
    "UNKNOWN",
    "Event",
    "EventLog",
    "LogWriter",
    "declines",
    "derived",
    "known_clients_only",
    "listed",
    "noted_statuses",
    "open_log_writer",
    "outcome_of",
    "read_log",
    "rejected_statuses",
]
