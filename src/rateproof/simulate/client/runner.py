"""A run on a thread of its own: the main one listens to the person."""

import threading
from collections.abc import Callable, Sequence

from rateproof.events import EventLog
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Scenario
from rateproof.simulate.transports import Transport

__all__ = ["Runner"]


class Runner(threading.Thread):
    """Runs a scenario once; every table of events goes to each observer in turn.

    Args:
        transport: what sends.
        scenario: what to run.
        control: of the run.
        observers: what one of them raises ends the run.
        done: called when it is over, however that came, on the runner's thread.
    """

    def __init__(
        self,
        transport: Transport,
        scenario: Scenario,
        control: Control,
        observers: Sequence[Callable[[EventLog], None]],
        done: Callable[[], None],
    ) -> None:
        super().__init__(name="runner", daemon=True)
        self._transport = transport
        self._scenario = scenario
        self._control = control
        self._observers = observers
        self._done = done
        self._log = EventLog()
        self._failure: BaseException | None = None

    def run(self) -> None:
        """What the thread does; not to be called."""
        try:
            self._log = self._transport(
                self._scenario, control=self._control, observe=self._observe, keep=False
            )
        except BaseException as failure:  # noqa: BLE001 - raised again by result()
            self._failure = failure
        finally:
            self._done()

    def result(self) -> EventLog:
        """The log, without its events, once the thread has ended; raises what ended the run."""
        if self._failure is not None:
            raise self._failure
        return self._log

    def _observe(self, events: EventLog) -> None:
        for observe in self._observers:
            observe(events)
