"""The clock of a run: it stands still while the run is paused."""

import threading

__all__ = ["RunClock"]


class RunClock:
    """Maps instants of CLOCK_MONOTONIC to nanoseconds of the run, and back.

    One thread pauses and resumes; any thread reads, without a lock: a pause is
    appended before it counts, and each reading works on one tuple.

    Args:
        start_ns: the monotonic instant that is 0.
    """

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        # (begin, end or None, ns paused before it), in order.
        self._pauses: tuple[tuple[int, int | None, int], ...] = ()
        self.running = threading.Event()
        self.running.set()

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return not self.running.is_set()

    def pause(self, now_ns: int) -> None:
        """Stand still from a monotonic instant on, not before the last one given."""
        if not self.paused:
            begin, end, before = self._pauses[-1] if self._pauses else (0, 0, 0)
            total_ns = before + (0 if end is None else end - begin)
            self._pauses = (*self._pauses, (now_ns, None, total_ns))
            self.running.clear()

    def resume(self, now_ns: int) -> None:
        """Go on from a monotonic instant on, not before the pause."""
        if self.paused:
            begin, _, before = self._pauses[-1]
            self._pauses = (*self._pauses[:-1], (begin, now_ns, before))
            self.running.set()

    def elapsed_ns(self, instant_ns: int) -> int:
        """Nanoseconds of the run at a monotonic instant; during a pause those of its begin."""
        for begin, end, before in reversed(self._pauses):
            if instant_ns >= begin:
                until_ns = begin if end is None else instant_ns - min(instant_ns, end) + begin
                return until_ns - before - self.start_ns
        return instant_ns - self.start_ns

    def monotonic_ns(self, elapsed_ns: int) -> int:
        """The monotonic instant at which the run has this age.

        Where the clock stands still at exactly this age: the begin of that
        pause. The pauses still to come are not known.
        """
        for begin, end, before in reversed(self._pauses):
            if elapsed_ns > begin - before - self.start_ns:
                paused_ns = before + (0 if end is None else end - begin)
                return self.start_ns + elapsed_ns + paused_ns
        return self.start_ns + elapsed_ns
