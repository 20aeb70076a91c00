"""How clients behave: each the source of a small program of requests, by name."""

from rateproof.simulate.behaviours.backoff import Backoff
from rateproof.simulate.behaviours.base import (
    Behaviour,
    Plan,
    Program,
    Reply,
    Send,
    describe,
    rate_interval_ns,
)
from rateproof.simulate.behaviours.boundary import Boundary
from rateproof.simulate.behaviours.burst import Burst
from rateproof.simulate.behaviours.catalogue import (
    Parameter,
    distributions,
    parameters_of,
)
from rateproof.simulate.behaviours.constant import Constant
from rateproof.simulate.behaviours.drip import Drip
from rateproof.simulate.behaviours.herd import Herd
from rateproof.simulate.behaviours.named import BEHAVIOURS, make_behaviour
from rateproof.simulate.behaviours.poisson import Poisson
from rateproof.simulate.behaviours.polite import Polite
from rateproof.simulate.behaviours.race import Race
from rateproof.simulate.behaviours.ramp import Ramp
from rateproof.simulate.behaviours.saturate import Saturate
from rateproof.simulate.behaviours.schedule import Schedule
from rateproof.simulate.behaviours.storm import Storm
from rateproof.simulate.behaviours.sybil import Sybil
from rateproof.simulate.behaviours.think import Think
from rateproof.simulate.behaviours.zipf import Zipf
from rateproof.simulate.programs.timetable import Timed, Timetable

__all__ = [
    "BEHAVIOURS",
    "Backoff",
    "Behaviour",
    "Boundary",
    "Burst",
    "Constant",
    "Drip",
    "Herd",
    "Parameter",
    "Plan",
    "Poisson",
    "Polite",
    "Program",
    "Race",
    "Ramp",
    "Reply",
    "Saturate",
    "Schedule",
    "Send",
    "Storm",
    "Sybil",
    "Think",
    "Timed",
    "Timetable",
    "Zipf",
    "describe",
    "distributions",
    "make_behaviour",
    "parameters_of",
    "rate_interval_ns",
]
