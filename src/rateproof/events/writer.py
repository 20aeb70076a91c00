"""What every writer of event logs can do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rateproof.events.log import EventLog

__all__ = ["LogWriter"]


class LogWriter(ABC):
    """Appends events to a file as they come; closed at the end of a `with` block."""

    @abstractmethod
    def write(self, events: EventLog) -> None:
        """Append a batch of events; its metadata is left aside.

        Raises:
            CannotWrite: the disk is full, or the reader of a pipe is gone. What had
                been written is a whole log once this is closed.
        """

    @abstractmethod
    def note(self, metadata: Mapping[str, Any]) -> None:
        """Add to the log's metadata what only the run could tell, such as whether it was valid.

        Raises:
            CannotWrite: as for `write`.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the file; the log is whole only after this.

        Raises:
            CannotWrite: what was still in memory did not get onto the disk.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
