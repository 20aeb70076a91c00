"""Driving of an engine, native or not: what is asked of a run goes in, what it records comes out."""

import threading
from collections.abc import Callable
from typing import Any

from rateproof.events import EventLog
from rateproof.simulate.audit import Audit, judgement
from rateproof.simulate.control import Control
from rateproof.simulate.run_metadata import control_metadata, start_metadata
from rateproof.simulate.scenario import Scenario

LOOK_S = 0.02
"""From one look at the control to the next, and at what was recorded."""


def bound_clients(scenario: Scenario, control: Control, spare: int) -> None:
    """Keep a control from taking away the last client, and from more than `spare` connections."""
    last = scenario.groups[-1]
    control.bound_clients(-min(last.clients, scenario.client_count - 1), spare // last.connections)


def drive(
    engine: Any,
    log: EventLog,
    *,
    read: Callable[[float], EventLog | None],
    join: Callable[[], Audit],
    control: Control,
    observe: Callable[[EventLog], None] | None,
    keep: bool,
) -> EventLog:
    """See a run through; the log, with its rows and what its metadata says at the end.

    Args:
        engine: of the run, begun. It is told to `steer`, `stop` and `abandon` every `LOOK_S`,
            and says `start_ns`.
        log: with the metadata that is known before.
        read: the rows recorded within so many seconds; None once the run is over.
        join: what the generator did, once it is over.
        control: of the run.
        observe: as of `Transport`.
        keep: as of `Transport`.
    """
    over = threading.Event()
    obedience = threading.Thread(target=_obey, args=(engine, control, over), daemon=True)
    obedience.start()
    try:
        while (events := read(LOOK_S)) is not None:
            if keep:
                log.extend(events)
            if observe is not None and len(events):
                observe(events)
        audit = join()
    except BaseException:
        control.stop()
        engine.abandon()  # whoever interrupts does not want to wait
        raise
    finally:
        over.set()
        obedience.join()
    log.metadata |= start_metadata(engine.start_ns)
    log.metadata |= judgement(audit.figures(), log.metadata["scenario"]["lag_tolerance_ns"])
    log.metadata |= control_metadata(control)
    return log


def _obey(engine: Any, control: Control, over: threading.Event) -> None:
    """Pass on what is asked, however busy whoever takes the events is."""
    while not over.is_set():
        engine.steer(
            paused=control.paused, bursts=control.bursts, extra_clients=control.extra_clients
        )
        if control.abandoned:
            engine.abandon()
        elif control.stopping:
            engine.stop()
        over.wait(LOOK_S)
