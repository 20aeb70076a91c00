"""Files that are whole or not there."""

import contextlib
import os
from pathlib import Path

from rateproof.errors import CannotWrite

__all__ = ["write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Put a text in a file at once: whoever reads it meanwhile has all of the old one or the new.

    Its folder is made if it is not there.

    Raises:
        CannotWrite: there is no room, no right to, or something that is no regular file.
    """
    if path.exists() and not path.is_file():  # a device must not be replaced by a file
        raise CannotWrite(f"cannot write {path}: not a regular file")
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise CannotWrite(f"cannot write {path}: {error.strerror}") from error
