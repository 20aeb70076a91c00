"""Metadata of a log, and the part of it that no later line may change."""

from collections.abc import Mapping
from typing import Any, Final

from rateproof.errors import LogError
from rateproof.events.impossible import TWO_LOGS

_FLAGS: Final = ("complete", "fresh_keys", "marked_rejections", "valid")
_OF_ONE_RUN: Final = ("clock", "scenario", "policy", "fresh_keys")


def add_metadata(known: dict[str, Any], more: Mapping[str, Any], where: str) -> None:
    """Add to what is known of a log.

    Raises:
        LogError: a value of a wrong type, by which the log would be judged as if nothing
            had been said; or another value than before of what is true of a whole run.
    """
    for name in _FLAGS:
        if name in more and not isinstance(more[name], bool):
            raise LogError(f"{where}: {name} is {more[name]!r:.60}", "true or false")
    scenario = more.get("scenario")
    noted = scenario.get("rejected_statuses") if isinstance(scenario, dict) else None
    if noted is not None and not _are_statuses(noted):
        problem = f"{where}: rejected_statuses of the scenario is {noted!r:.60}"
        raise LogError(problem, "status codes, such as [403, 429]")
    policy = more.get("policy")
    if policy is not None and not isinstance(policy, str):
        raise LogError(f"{where}: policy is {policy!r:.60}", "text, such as '5 per 5s', or null")
    for name in _OF_ONE_RUN:
        before = known.get(name)
        if before is not None and name in more and more[name] != before:
            raise LogError(f"{where}: another {name} than before", TWO_LOGS)
    known.update(more)


def _are_statuses(noted: Any) -> bool:
    return isinstance(noted, list) and all(
        type(status) is int and 100 <= status <= 999 for status in noted
    )
