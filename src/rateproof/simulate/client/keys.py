"""The keys that act on a run while it goes on: the same in every view of it."""

from rateproof.simulate.control import Control

__all__ = ["BOUND", "HELP", "act"]

BOUND = "+-bBpP?"
"""Keys that do something; every other one ends the run."""

HELP = (
    ("+ -", "a tenth more clients, or fewer: at least one"),
    ("b", "burst: every client that waits sends its next request now"),
    ("p", "pause, and go on: the clock of the run stands still meanwhile"),
    ("?", "this help"),
    ("any other key", "ends the run: requests in flight finish, nothing new is sent"),
    ("once more", "gives up what is still in flight"),
)
"""What each key does."""


def act(key: str, control: Control, clients: int) -> str | None:
    """Do what a key says.

    Args:
        key: a character; in upper case it is the same key.
        control: of the run.
        clients: how many there are now.

    Returns:
        What was done, in a few words; None for `?`, which is the view's own
        matter, and for a key that is not bound.
    """
    match key.lower():
        case "+":
            step = max(1, clients // 10)
            control.add_clients(step)
            return f"{step} more"
        case "-":
            step = min(max(1, clients // 10), clients - 1)
            control.add_clients(-step)
            return f"{step} fewer" if step else "one client has to stay"
        case "b":
            control.burst()
            return "burst"
        case "p" if control.paused:
            control.resume()
            return "going on"
        case "p":
            control.pause()
            return "paused"
    return None
