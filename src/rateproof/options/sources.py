"""Sources of the values of options: flags, the environment, a TOML file.

    rateproof serve --port 8081         a flag wins over
    RATEPROOF_PORT=8081                 the environment, which wins over
    port = 8081                         the file of --config or RATEPROOF_CONFIG,
                                        which wins over the default

An option has one name and one text form: `on_full` is `--on-full`,
`RATEPROOF_ON_FULL` and `on_full = "admit"`. Only verbs that say so look at the
environment and such a file.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from rateproof.errors import told_by
from rateproof.options.declared import Verb
from rateproof.options.kinds import Section

__all__ = ["Sources"]

_PREFIX: Final = "RATEPROOF_"
_FILE: Final = "config"

Texts = str | list[str]


class Sources:
    """The flags and the environment as they were at the start, and the file as it is.

    `flags` has the text of each by the name of its option, of one that may be repeated all of
    them. A variable that is empty is not set.
    """

    def __init__(
        self, verb: Verb, flags: Mapping[str, Texts], environment: Mapping[str, str] | None = None
    ) -> None:
        self.verb = verb
        self._told: dict[str, tuple[Texts, str]] = {}
        here = environment or {} if verb.environment else {}
        names = [*(each.name for each in filter(verb.filed, verb.options)), _FILE]
        self._variables = [_PREFIX + name.upper() for name in [*names, "core"]]
        for name, variable in zip(names, self._variables, strict=False):
            if text := here.get(variable):
                self._told[name] = text, variable
        self._strange = sorted(
            name for name in here if name.startswith(_PREFIX) and name not in self._variables
        )
        for option in verb.options:
            if option.name in flags:
                self._told[option.name] = flags[option.name], option.flag

    @property
    def file(self) -> Path | None:
        """The TOML file, if one is named."""
        if not self.verb.environment or _FILE not in self._told:
            return None
        return Path(str(self._told[_FILE][0]))

    @property
    def warning(self) -> str | None:
        """A warning of variables that look like settings and are none; None without such."""
        if not self._strange:
            return None
        accepted = ", ".join(name.removeprefix(_PREFIX) for name in self._variables)
        return (
            f"WARNING: {', '.join(self._strange)} in the environment: no setting, so ignored "
            f"({_PREFIX} and one of {accepted})"
        )

    def read(self, accept: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
        """The value of every option, by its name inside the program, the file read anew.

        `accept` raises InvalidArgument for what cannot be, given one value alone.
        """
        found = self.verb.defaults() | self._from_file(accept)
        for option in self.verb.options:
            if option.name in self._told:
                texts, source = self._told[option.name]
                found[option.inside] = option.read_text(texts, source)
                if accept is not None and self.verb.filed(option):
                    with told_by(source):
                        accept({option.inside: found[option.inside]})
        return found

    def _from_file(self, accept: Callable[[dict[str, Any]], object] | None) -> dict[str, Any]:
        if self.file is None:
            return {}
        from rateproof.options.reader import Reader  # no other verb waits for it

        reader = Reader(self.file, "settings", "docs/reference/serve.md lists them", plain=True)
        options = {each.name: each for each in filter(self.verb.filed, self.verb.options)}
        for name in options.keys() & self._told.keys():
            reader.data.pop(name, None)  # what is told otherwise does not matter
        found = reader.values(Section(options))
        if accept is not None:
            for name, option in options.items():
                if option.inside in found:
                    value = {option.inside: found[option.inside]}
                    reader.check((name,), partial(accept, value))
        reader.finish()
        return found
