"""What completes the command line in a shell: verbs, flags, and the values that are known."""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Final

from rateproof.options.declared import VERBS, Verb
from rateproof.options.kinds import Option

__all__ = ["completion"]

_FILES: Final = re.compile("FILE|DIR|LOG")


def completion(shell: str) -> str:
    """The script that a shell reads: `bash`, `zsh` or `fish`."""
    return _SCRIPTS[shell]()


def _flags(option: Option) -> list[str]:
    if option.positional:
        return []
    return [option.flag, *([f"-{option.short}"] if option.short else [])]


def _negations(verb: Verb) -> Iterator[Option]:
    return (each for each in verb.options if each.switch and each.filed and verb.environment)


def _words(verb: Verb) -> list[str]:
    """All flags of a verb."""
    found = [flag for option in verb.options for flag in _flags(option)]
    found += [f"--no-{option.flag.removeprefix('--')}" for option in _negations(verb)]
    return [*found, "--help"]


def _takes_files(option: Option) -> bool:
    return _FILES.search(option.placeholder) is not None


def _bash() -> str:
    lines = []
    for verb in VERBS.values():
        for option in verb.options:
            if option.switch:
                continue
            if option.positional:
                if option.choices:
                    lines.append(
                        f'        "{verb.name} {verb.name}") words="{" ".join(option.choices)}" ;;'
                    )
                continue
            when = "|".join(f'"{verb.name} {flag}"' for flag in _flags(option))
            # Without words, files are what bash falls back to.
            words = " ".join(option.choices)
            lines.append(f'        {when}) words="{words}" ;;')
        lines.append(f'        "{verb.name} "*) words="{" ".join(_words(verb))}" ;;')
    body = "\n".join(lines)
    return f"""\
# rateproof completion bash >~/.local/share/bash-completion/completions/rateproof
_rateproof() {{
    local words current=${{COMP_WORDS[COMP_CWORD]}}
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD-1]}}" in
{body}
    esac
    [ "$COMP_CWORD" -eq 1 ] && words="{" ".join(VERBS)} --help --version"
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _rateproof rateproof"""


def _zsh() -> str:
    commands = "\n".join(
        f"        {shlex.quote(f'{verb.name}:{verb.summary}')}" for verb in VERBS.values()
    )
    cases = "\n".join(
        f"    {verb.name}) _arguments -s {' '.join(map(shlex.quote, _zsh_words(verb)))} ;;"
        for verb in VERBS.values()
    )
    return f"""\
#compdef rateproof
# rateproof completion zsh >~/.zfunc/_rateproof, with ~/.zfunc in $fpath before compinit
_rateproof() {{
    local -a commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        _arguments '--version[version and active core]' '--help[this]'
        return
    fi
    shift words
    (( CURRENT-- ))
    case $words[1] in
{cases}
    esac
}}
if [[ $funcstack[1] == _rateproof ]]; then _rateproof "$@"; else compdef _rateproof rateproof; fi"""


def _zsh_words(verb: Verb) -> Iterator[str]:
    def of(text: str) -> str:
        return re.sub(r"([\[\]:\\])", r"\\\1", text)

    for option in verb.options:
        value = "" if option.switch else f":{of(option.placeholder)}:"
        if option.choices:
            value += f"({' '.join(option.choices)})"
        elif value and _takes_files(option):
            value += "_files"
        if option.positional:
            yield f"1{value}"
        many = "*" if option.many else ""
        yield from (f"{many}{flag}[{of(option.help)}]{value}" for flag in _flags(option))
    for option in _negations(verb):
        yield f"--no-{option.flag.removeprefix('--')}[not {of(option.help)}]"
    yield "--help[this]"


def _fish() -> str:
    lines = [
        "# rateproof completion fish >~/.config/fish/completions/rateproof.fish",
        f"set -l verbs {' '.join(VERBS)}",
        "complete -c rateproof -n 'not __fish_seen_subcommand_from $verbs' -f -l version -l help",
    ]
    for verb in VERBS.values():
        lines.append(
            "complete -c rateproof -n 'not __fish_seen_subcommand_from $verbs' "
            f"-f -a {verb.name} -d {_quoted(verb.summary)}"
        )
        here = f"complete -c rateproof -n '__fish_seen_subcommand_from {verb.name}'"
        lines += [
            f"{here} {_fish_words(option)} -d {_quoted(option.help)}" for option in verb.options
        ]
        lines += [f"{here} -l no-{option.flag.removeprefix('--')}" for option in _negations(verb)]
        lines.append(f"{here} -l help -s h")
    return "\n".join(lines)


def _fish_words(option: Option) -> str:
    words = [] if option.positional else ["-l", option.flag.removeprefix("--")]
    words += ["-s", option.short] if option.short else []
    if option.choices:
        words += ["-x", "-a", f"'{' '.join(option.choices)}'"]
    elif not option.switch:
        words.append("-r" + ("F" if _takes_files(option) else "f") * (not option.positional))
    return " ".join(words)


def _quoted(text: str) -> str:
    """A text as one word of fish, in which only these two are escaped within quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: Final[dict[str, Callable[[], str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
