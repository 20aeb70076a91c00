"""The interface of every writer of event logs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from rateproof.events.log import EventLog


class LogWriter(ABC):
    """Appends events to a file as they come; closed at the end of a `with` block.

    The file's metadata says at first `"complete": false`, so that a log whose writer was
    killed, or whose reader was gone, tells so. A `with` block that ends without an error
    makes it true, unless the metadata that was given says that events are missing.

    Args:
        metadata: of the log, as it is known before the first event.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._due = metadata.get("complete", True) is True

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

        `"complete"` is one of these: whether the log holds every request of the run. Said
        here, it is not said again at the end of the `with` block.

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

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._due:
                self.note({"complete": True})
        finally:
            self.close()
