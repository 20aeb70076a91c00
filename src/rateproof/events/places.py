"""Files on this machine or in another place that fsspec knows, such as s3://."""

from pathlib import Path
from typing import Any, Final

from rateproof.errors import InvalidArgument, LogError, Unreachable
from rateproof.output import printable

_INSTALL: Final = "pip install 'rateproof[dask]'"
_TRIES: Final = 100


def path_of(name: str) -> Any:
    """A file or folder by its name or its URL: a `Path`, or what behaves like one elsewhere.

    Raises:
        InvalidArgument: the URL's scheme is unknown, or needs a package that is not installed.
        LogError: there is nothing.
        Unreachable: the place does not answer, or lets nobody in.
    """
    scheme, separator, rest = name.partition("://")
    if not separator:
        return Path(name).absolute()
    if scheme == "file":
        return Path(rest).absolute()
    try:
        from upath import UPath
    except ImportError as error:
        raise InvalidArgument(f"{printable(name)} needs universal-pathlib", _INSTALL) from error
    try:
        path = UPath(name)
        path.fs.info(path.path)  # `exists` takes a place that does not answer for one without files
    except (ImportError, ValueError) as error:
        raise InvalidArgument(
            f"{printable(name)}: {error}",
            "file:// and s3:// (pip install s3fs), and what fsspec has",
        ) from error
    except Exception as error:  # each place has errors of its own
        reason = error.__cause__ if isinstance(error, FileNotFoundError) else error
        if reason is None or not (reason is error or isinstance(reason, OSError)):
            problem = f"cannot read {printable(name)}: No such file or directory"
            raise LogError(problem) from error
        raise Unreachable(f"cannot reach {printable(name)}: {reason}") from error
    return path


def fitting_elsewhere(pattern: str) -> list[str]:
    """The URLs of files in a folder elsewhere whose names fit a pattern.

    Raises:
        InvalidArgument, LogError, Unreachable: as of `path_of`, for the folder.
    """
    folder, _, name = pattern.rpartition("/")
    return [str(path) for path in path_of(folder).glob(name)]


def to_write(path: Any) -> dict[str, Any]:
    """The arguments by which pyarrow writes there."""
    if isinstance(path, Path):
        return {"where": str(path)}
    return {"where": path.path, "filesystem": path.fs}


def remove(folder: Any) -> None:
    """Remove a folder with all that is in it.

    Raises:
        OSError: it cannot be.
    """
    if isinstance(folder, Path):
        from shutil import rmtree

        for _ in range(_TRIES):  # a worker may still write there, until the folder is gone
            rmtree(folder, ignore_errors=True)
            if not folder.exists():
                return
        rmtree(folder)
    elif folder.exists():  # where there are only objects, it is as long as one is in it
        folder.fs.rm(folder.path, recursive=True)
