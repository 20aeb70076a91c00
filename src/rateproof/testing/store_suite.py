"""What every set of claims on stores needs: a store, by a name that nobody used."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from uuid import uuid4

from rateproof.enforce.stores import Store

__all__ = ["StoreSuite"]


class StoreSuite:
    """How the claims come by a store: to be completed by who derives from them."""

    shared: ClassVar[bool] = False
    """Whether all who open the same name share what is in it, in other processes too."""

    def open_store(self, name: str, capacity: int) -> Store:
        """Open the store of this name: to be written.

        Args:
            name: new, with nothing admitted, unless it was opened before and not
                removed; letters, digits and hyphens.
            capacity: how many keys must find room at once, for each quota.

        Returns:
            An open store, which is closed by whoever asked for it. Where `shared`,
            processes that were forked from this one ask for it too.
        """
        raise NotImplementedError

    def remove_store(self, name: str) -> None:
        """Delete what is left of the store of this name, if anything is: all have closed it."""

    @contextmanager
    def _fresh_name(self) -> Iterator[str]:
        """A name for a store that is removed in the end."""
        name = f"agreement-{uuid4().hex}"
        try:
            yield name
        finally:
            self.remove_store(name)
