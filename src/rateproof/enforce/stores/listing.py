"""The stores in shared memory, as they lie there: for `rateproof store`."""

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from rateproof.core import native
from rateproof.enforce.room import of_addresses
from rateproof.enforce.stores.location import (
    directory_of,
    parse_url,
    remove,
    stored_quotas,
    table_file,
)
from rateproof.errors import InvalidArgument, RateproofError, StoreError


class StoredTable(NamedTuple):
    """A table of a store.

    Args:
        quota: what it counts.
        size: of its file in bytes.
        live: how many keys it counts something of; None if it cannot be opened.
        capacity: how many there is room for; None likewise.
        trouble: why it cannot be opened.
        of_addresses: it is of what addresses took, see `rateproof.enforce.room`.
    """

    quota: str
    size: int
    live: int | None = None
    capacity: int | None = None
    trouble: str | None = None
    of_addresses: bool = False


class StoreFacts(NamedTuple):
    """A store.

    Args:
        name: of `shm://NAME`.
        size: of its files in bytes.
        age_s: seconds since it was made.
        processes: the numbers of those that have it open, as far as this user may see.
        tables: what it counts.
    """

    name: str
    size: int
    age_s: int
    processes: list[int]
    tables: list[StoredTable]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return self._asdict() | {"tables": [table._asdict() for table in self.tables]}


def stored_names() -> list[str]:
    """The names of this user's stores, in order."""
    place = directory_of("")
    # There is no lock where tables were made again by those who had them open.
    files = (
        file for each in ("lock", "*.native") for file in place.parent.glob(f"{place.name}*/{each}")
    )
    return sorted({file.parent.name.removeprefix(place.name) for file in files})


def facts_of(name: str) -> StoreFacts:
    """Say what there is in `shm://name`.

    Raises:
        InvalidArgument: not a name, or there is no such store.
    """
    folder = _folder_of(name)
    processes = users_of(name)  # before this one has it open
    try:
        quotas = stored_quotas(name)
        tables = [
            _table(folder / table_file(quota), str(quota))._replace(
                of_addresses=of_addresses(quota, quotas)
            )
            for quota in quotas
        ]
        files = [file.stat() for file in folder.iterdir()]
        made_s = min((file.st_mtime for file in files), default=folder.stat().st_mtime)
    except FileNotFoundError:
        raise InvalidArgument(f"shm://{name} is being removed", "rateproof store ls") from None
    size = sum(file.st_size for file in files)
    return StoreFacts(name, size, max(0, int(time.time() - made_s)), processes, tables)


def users_of(name: str) -> list[int]:
    """The numbers of the other processes that have `shm://name` open, as far as this user may see."""
    found = []
    for maps in Path("/proc").glob("[0-9]*/maps"):
        pid = int(maps.parent.name)
        try:
            if pid != os.getpid() and f" {directory_of(name)}/" in maps.read_text(errors="replace"):
                found.append(pid)
        except OSError:  # it has ended, or is somebody else's
            continue
    return sorted(found)


def remove_unused(name: str, *, force: bool = False) -> None:
    """Delete `shm://name`.

    Raises:
        InvalidArgument: not a name, or there is no such store.
        StoreError: processes have it open, and `force` is not given; or it cannot be deleted.
    """
    _folder_of(name)
    users = users_of(name)
    if users and not force:
        raise StoreError(
            f"shm://{name} is open in process {', '.join(map(str, users))}",
            "end what uses it first; with --force all clients start anew, within a second in one store",
        )
    remove(name)


def _folder_of(name: str) -> Path:
    parse_url(f"shm://{name}")
    folder = directory_of(name)
    if not folder.is_dir():
        raise InvalidArgument(f"there is no store shm://{name}", "rateproof store ls")
    return folder


def _table(path: Path, quota: str) -> StoredTable:
    size = path.stat().st_size
    module = native()
    if module is None:
        return StoredTable(quota, size, trouble="the native core is not in use")
    try:
        table = module.Table.existing(str(path))
        live, _ = table.census(None)
    except RateproofError as error:
        return StoredTable(quota, size, trouble=error.message)
    return StoredTable(quota, size, live, table.capacity)
