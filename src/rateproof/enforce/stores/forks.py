"""Forked children: the threads of their parent, and what these were about to do, do not exist there."""

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_all: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def in_children(holder: T, do: Callable[[T], None]) -> None:
    """Do this to an object first of all in each child that is forked while the object lives."""
    _all[holder] = do


def _after_fork_in_child() -> None:
    for holder, do in list(_all.items()):
        do(holder)


os.register_at_fork(after_in_child=_after_fork_in_child)
