"""Where the server's settings come from: flags, the environment, a TOML file.

    rateproof serve --port 8081         a flag wins over
    RATEPROOF_PORT=8081                 the environment, which wins over
    port = 8081                         the file of --config or RATEPROOF_CONFIG,
                                        which wins over the default

A setting has one name and one text form: `on_full` is `--on-full`,
`RATEPROOF_ON_FULL` and `on_full = "admit"`.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rateproof.enforce.server.settings import ServerSettings
from rateproof.errors import InvalidArgument
from rateproof.keyspec import KeySpec
from rateproof.policy import Policy

__all__ = ["SettingsSources"]

_PREFIX = "RATEPROOF_"
_DENIALS = ("503", "429")
_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}

_SHARED = ServerSettings(store="redis://host")
"""Settings in which any single value is possible, several workers included."""


def _number(text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20):
        raise InvalidArgument(repr(text), "a whole number")
    return int(text)


def _truth(text: str) -> bool:
    if text.lower() not in _WORDS:
        raise InvalidArgument(repr(text), "true or false")
    return _WORDS[text.lower()]


def _status(text: str) -> int:
    if text not in _DENIALS:
        raise InvalidArgument(f"{text!r} is not for denials", "503 or 429")
    return int(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _proxies(text: str) -> int | tuple[str, ...]:
    return _number(text) if text.lstrip("-").isalnum() else _list(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "policy": Policy.parse,
    "key": KeySpec.parse,
    "host": str,
    "port": _number,
    "workers": _number,
    "store": str,
    "status": _status,
    "on_full": str,
    "on_error": str,
    "capacity": _number,
    "shadow": _truth,
    "exempt": _list,
    "proxies": _proxies,
    "proxy_header": str,
    "ipv6_prefix": _number,
    "x_ratelimit": _truth,
    "metrics": str,
    "access_log": _truth,
}


class SettingsSources:
    """The flags and the environment as they were at the start, and the file as it is.

    Args:
        flags: the text of each flag by the name of its setting; None if left
            out. Others are not looked at.
        environment: such as `os.environ`. A variable that is empty is not set.
    """

    def __init__(self, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> None:
        self._flags = {
            name: (text, f"--{name.replace('_', '-')}")
            for name in (*_READERS, "config")
            if (text := flags.get(name)) is not None
        }
        self._environment = {
            name: (text, _PREFIX + name.upper())
            for name in (*_READERS, "config")
            if (text := environment.get(_PREFIX + name.upper()))
        }
        names = {_PREFIX + name.upper() for name in (*_READERS, "config", "core")}
        self._strange = sorted(
            name for name in environment if name.startswith(_PREFIX) and name not in names
        )

    @property
    def file(self) -> Path | None:
        """The TOML file, if one is named."""
        named = (self._environment | self._flags).get("config")
        return None if named is None else Path(named[0])

    @property
    def warning(self) -> str | None:
        """What to say of variables that look like settings and are none; None without such."""
        if not self._strange:
            return None
        accepted = ", ".join(name.upper() for name in (*_READERS, "config", "core"))
        return (
            f"WARNING: {', '.join(self._strange)} in the environment: no setting, so ignored "
            f"({_PREFIX} and one of {accepted})"
        )

    def read(self) -> ServerSettings:
        """The settings, the file read anew.

        Raises:
            InvalidArgument: naming the value, where it stands and the accepted
                form; a file that cannot be read; names in it that are none.
        """
        found = {} if self.file is None else _read_file(self.file)
        found |= self._environment | self._flags
        values = {name: _value(name, *found[name]) for name in _READERS if name in found}
        return ServerSettings(**values)


def _value(name: str, text: str, source: str) -> Any:
    """The value of one setting, known to be possible by itself."""
    try:
        value = _READERS[name](text)
        return getattr(replace(_SHARED, **{name: value}), name)
    except InvalidArgument as error:
        raise InvalidArgument(f"{source}: {error.message}", error.hint) from error


def _read_file(path: Path) -> dict[str, tuple[str, str]]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidArgument(
            f"cannot read {path}: {error.strerror}", "--config names a TOML file"
        ) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise InvalidArgument(f"{path} is not TOML: {error}", "policy = '5 per 5s'") from error
    unknown = [name for name in values if name not in _READERS]
    if unknown:
        raise InvalidArgument(
            f"{path}: {', '.join(map(repr, unknown))} is no setting",
            f"one of {', '.join(_READERS)}",
        )
    return {name: (_text(value, name, path), f"{name} in {path}") for name, value in values.items()}


def _text(value: object, name: str, path: Path) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        for item in value:
            if "," in item:
                raise InvalidArgument(
                    f"{name} in {path}: {item!r} has a comma", "one text for each"
                )
        return ",".join(value)  # quotas and paths are separated so
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, str):
        return value
    raise InvalidArgument(
        f"{name} in {path}: {value!r}", "a text, a whole number, true or false, or a list of texts"
    )
