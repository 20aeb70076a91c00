"""The command line: words in, the values of a verb's options out. No room is loaded for it."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from rateproof.errors import InvalidArgument
from rateproof.options.declared import VERBS
from rateproof.options.kinds import Option, near
from rateproof.options.sources import Sources
from rateproof.options.verb import Verb
from rateproof.output import emit, fold

EXIT_CODES = """\
exit codes: 0 nothing wrong found, 1 violated or the server crashed, 2 inconclusive,
64 bad arguments, 65 unreadable log, 69 unreachable or port taken, 70 internal error,
73 cannot write, 130 interrupted before there was a verdict"""
NOTES = """\
Each option can also stand in the settings file, in the table of the verb (such as
port = 8081 in [serve]). Flags win over it, and --no-X turns off a switch that is on
there: docs/settings-file.md."""
VARIABLES = """\
The environment (RATEPROOF_PORT=8081) wins over the file, and flags over both."""


def parse(
    argv: Sequence[str], program: str | None = None, environment: Mapping[str, str] | None = None
) -> argparse.Namespace:
    """Read the arguments.

    Args:
        argv: what follows the program's name.
        program: how the person started the command; `rateproof COMMAND` if None.
        environment: such as `os.environ`, for the verbs that look there.

    Returns:
        The verb as `command`, and the value of each of its options by its name inside the
        program. Of a verb that looks at the environment: its `sources`, which read the values. Of
        one that looks at a settings file: the `runs` that are asked for, of which the values are
        those of the first, and a `notice` of the file.

    Raises:
        InvalidArgument: naming the argument, its value and the accepted form.
        SystemExit: after --help and --version.
    """
    if not argv or argv[0] not in VERBS:
        if argv and not argv[0].startswith("-"):
            hint = near(argv[0], VERBS) or f"one of {', '.join(VERBS)}"
            raise InvalidArgument(f"no command is named {argv[0]!r:.64}", hint)
        first = _first_words()
        first.parse_args(argv)
        first.error("COMMAND comes first")
    verb = VERBS[argv[0]]
    told = vars(_parser(verb, program).parse_args(_joined(argv[1:], verb)))
    sources = Sources(verb, told, environment)
    if verb.environment:
        return argparse.Namespace(command=verb.name, sources=sources)
    if not verb.config:
        return argparse.Namespace(command=verb.name, **sources.read())
    runs = sources.runs()
    return argparse.Namespace(command=verb.name, notice=sources.notice, runs=runs, **runs[0].values)


def _joined(argv: Sequence[str], verb: Verb) -> list[str]:
    """Write `--duration -1s` as `--duration=-1s`: argparse takes `-1s` for an option."""
    short = {f"-{option.short}" for option in verb.options if option.short and not option.switch}
    joined: list[str] = []
    for argument in argv:
        before = joined[-1] if joined else ""
        if argument[:1] == "-" and argument[1:2].isdigit():
            if before in short:
                joined[-1] += argument
                continue
            if before.startswith("--") and "=" not in before:
                joined[-1] += f"={argument}"
                continue
        joined.append(argument)
    return joined


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        start = "python " if self.prog.endswith(".py") else ""
        _, _, strange = message.partition("unrecognized arguments: ")
        first = strange.partition(" ")[0].partition("=")[0]
        hint = near(first, self._flags(), 0.75)  # the dashes are alike in all
        raise InvalidArgument(message, hint or f"{start}{self.prog} --help")

    def _flags(self) -> list[str]:
        shown = [each for each in self._actions if each.help != argparse.SUPPRESS]
        return [flag for each in shown for flag in each.option_strings]


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _fill_text(self, text: str, width: int, _indent: str) -> str:
        """Paragraphs and tables broken at words; examples are to be copied, so they stay as they are."""
        return "\n\n".join(_folded(paragraph, width) for paragraph in text.split("\n\n"))


def _folded(paragraph: str, width: int) -> str:
    if paragraph.startswith("examples:"):
        return paragraph
    if "\n  " not in paragraph:
        return "\n".join(fold(paragraph.replace("\n", " "), width, ""))
    return "\n".join(part for line in paragraph.split("\n") for part in fold(line, width, " " * 14))


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from rateproof import __version__
        from rateproof.core import active_core

        emit(f"rateproof {__version__} ({active_core()} core)")
        parser.exit(0)


def _first_words() -> argparse.ArgumentParser:
    """Arguments before any verb, or instead of one."""
    commands = "\n".join(f"  {verb.name:12}{verb.summary}" for verb in VERBS.values())
    parser = _Parser(
        prog="rateproof",
        usage="%(prog)s COMMAND [OPTION ...]",
        description=f"HTTP rate limiting you can prove.\n\ncommands:\n{commands}",
        epilog="rateproof COMMAND --help tells of each.",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="version and active core")
    parser.add_argument("command", metavar="COMMAND", choices=VERBS, help=argparse.SUPPRESS)
    return parser


def _parser(verb: Verb, program: str | None) -> argparse.ArgumentParser:
    prog = program or f"rateproof {verb.name}"
    first = [option for option in verb.options if option.positional]
    named = [f"{each.flag} ..." if each.many else each.flag for each in first]
    words = [
        name if each.required else f"[{name}]" for name, each in zip(named, first, strict=True)
    ]
    examples = "\n".join(f"  rateproof {example}" for example in verb.examples)
    notes = [NOTES] * verb.config + [VARIABLES] * verb.environment
    more = f"more: docs/reference/{verb.name}.md"
    parser = _Parser(
        prog=prog,
        usage=" ".join([prog.replace("%", "%%"), *words, "[OPTION ...]"]),
        description=verb.summary,
        epilog="\n\n".join([*notes, f"examples:\n{examples}", EXIT_CODES, more]),
        formatter_class=_Help,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    for heading, options in verb.groups.items():
        group = parser.add_argument_group(heading)
        for option in options:
            _add(group, option, negatable=verb.config and verb.filed(option))
    parser.add_argument_group("help").add_argument(
        "-h", "--help", action="help", help="show this and exit"
    )
    return parser


def _add(group: Any, option: Option, *, negatable: bool) -> None:
    words = argparse.SUPPRESS if option.hidden else option.text.replace("%", "%%")
    told = {"help": words, "dest": option.name}
    flags = [f"-{option.short}"] if option.short else []
    if option.positional:
        told.pop("dest")
        nargs = "+" if option.many else None if option.required else "?"
        group.add_argument(option.name, metavar=option.flag, nargs=nargs, **told)
    elif option.switch:
        group.add_argument(*flags, option.flag, action="store_const", const="true", **told)
        if negatable:
            told["help"] = argparse.SUPPRESS
            group.add_argument(option.opposite, action="store_const", const="false", **told)
    else:
        action = "append" if option.many else "store"
        group.add_argument(*flags, option.flag, metavar=option.placeholder, action=action, **told)
