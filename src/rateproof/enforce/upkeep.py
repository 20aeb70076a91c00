"""The command `rateproof store`: which stores there are, what is in one, and its end."""

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress

from rateproof.enforce.stores.listing import StoreFacts, facts_of, remove_unused, stored_names
from rateproof.errors import InvalidArgument
from rateproof.output import emit, say
from rateproof.units import counted

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def keep_stores(arguments: Namespace) -> int:
    """Do what was asked for; the exit code.

    Raises:
        InvalidArgument: no such store, or a name too few or too many.
        StoreError: a store in use is to be removed without `--force`.
    """
    action, name = arguments.action, arguments.name and arguments.name.removeprefix("shm://")
    if (name is None) != (action == "ls"):
        raise InvalidArgument(
            f"store {action} {'takes no' if name else 'needs a'} name",
            "store ls, store show NAME or store rm NAME",
        )
    if action == "rm":
        remove_unused(name, force=arguments.force)
        say(f"shm://{name} is removed")
        return 0
    found = [facts_of(name)] if name else list(_all_facts())
    for facts in found:
        if arguments.json:
            emit(json.dumps(facts.to_json()))
        else:
            emit("\n".join(_lines(facts)), sentences=True)
    if not found:
        say("no stores of this user in shared memory")
    return 0


def _all_facts() -> Iterator[StoreFacts]:
    for name in stored_names():
        with suppress(InvalidArgument):  # it was removed since
            yield facts_of(name)


def _lines(facts: StoreFacts) -> list[str]:
    pids = facts.processes
    users = f"open in process {', '.join(map(str, pids))}" if pids else "in no process"
    lines = [f"shm://{facts.name}: {_size(facts.size)}, {_age(facts.age_s)} old, {users}"]
    for table in facts.tables:
        kept = f"{counted(table.live or 0, 'live key')} of {table.capacity}"
        if table.trouble:
            kept = f"live keys not known ({table.trouble})"
        what = "new clients by address" if table.of_addresses else table.quota
        lines.append(f"  {what}: {kept}, {_size(table.size)}")
    return lines


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _age(seconds: int) -> str:
    length, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{seconds // length} {unit}"
