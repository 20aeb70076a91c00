"""Facts on a whole run, kept beside its events."""

import platform
import sys
import time
from typing import Any

from rateproof import linux
from rateproof.simulate.control import Control
from rateproof.simulate.scenario import Scenario


def clock_identity() -> dict[str, Any]:
    """The clock that the times are readings of.

    Times of two logs may be compared only when name, boot_id and host agree
    and the boot_id is not None.
    """
    implementation = time.get_clock_info("monotonic").implementation
    name = "CLOCK_MONOTONIC" if "CLOCK_MONOTONIC" in implementation else implementation
    return {"name": name, "boot_id": linux.boot_id(), "host": platform.node()}


def run_metadata(scenario: Scenario, transport: str) -> dict[str, Any]:
    """The metadata of a log before its run: clock, generator, scenario, seed, policy."""
    return {
        "clock": clock_identity(),
        "generator": {"transport": transport, "python": sys.version.split()[0]},
        "scenario": scenario.as_dict(),
        "seed": scenario.seed,
        "policy": None if scenario.policy is None else str(scenario.policy),
    }


def start_metadata(start_ns: int) -> dict[str, Any]:
    """The start of the run: `start_ns` on its own clock, `epoch_ns` in Unix time.

    The second is read from a clock that may be set while the run goes on: good
    for the phase of windows that a server counts from the epoch, no more.
    """
    return {"start_ns": start_ns, "epoch_ns": time.time_ns() - time.monotonic_ns() + start_ns}


def control_metadata(control: Control) -> dict[str, Any]:
    """The metadata of a run that somebody steered: `control`, what was done and when.

    Nothing where nobody did anything, or somebody only ended it.
    """
    actions = control.actions
    steered = any(action["what"] != "stop" for action in actions)
    return {"control": actions} if steered else {}
