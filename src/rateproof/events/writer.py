"""What every writer of event logs can do."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rateproof.events.log import Event

__all__ = ["LogWriter"]


class LogWriter(ABC):
    """Appends events to a file as they come; closed at the end of a `with` block."""

    @abstractmethod
    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            CannotWrite: the disk is full, or the reader of a pipe is gone.
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
