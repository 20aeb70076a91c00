"""Completion of the command line in a shell: verbs, flags, and the values that are known."""

from typing import Final

from rateproof.options.declared import VERBS
from rateproof.options.kinds import Option
from rateproof.options.verb import Verb

_TO_FILE: Final = {
    "bash": "~/.local/share/bash-completion/completions/rateproof",
    "zsh": "~/.rateproof.zsh, and let ~/.zshrc read it after compinit",
    "fish": "~/.config/fish/completions/rateproof.fish",
}


def completion(shell: str) -> str:
    """The script that a shell reads: `bash`, `zsh` or `fish`."""
    lines = [f"# rateproof completion {shell} >{_TO_FILE[shell]}"]
    if shell == "zsh":
        lines.append("autoload -U +X bashcompinit && bashcompinit")
    return "\n".join([*lines, *(_fish() if shell == "fish" else [_bash()])])


def _flags(verb: Verb, option: Option) -> list[str]:
    if option.positional or option.hidden:
        return []
    found = [option.flag, *([f"-{option.short}"] if option.short else [])]
    if option.switch and verb.config and verb.filed(option):
        found.append(option.opposite)
    return found


def _bash() -> str:
    cases = []
    for verb in VERBS.values():
        for option in verb.options:
            if not option.switch:  # without words, files are what bash falls back to
                before = _flags(verb, option) or [verb.name] * bool(option.choices)
                cases += [
                    f'"{verb.name} {word}") known="{" ".join(option.choices)}" ;;'
                    for word in before
                ]
        flags = " ".join(flag for option in verb.options for flag in _flags(verb, option))
        cases.append(f'"{verb.name} "*) known="{flags} --help" ;;')
    body = "\n    ".join(cases)
    return f"""\
_rateproof() {{
    local known= current="${{COMP_WORDS[COMP_CWORD]}}"
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD-1]}}" in
    {body}
    esac
    [ "$COMP_CWORD" -eq 1 ] && known="{" ".join(VERBS)} --help --version"
    COMPREPLY=($(compgen -W "$known" -- "$current"))
}}
complete -o default -F _rateproof rateproof"""


def _fish() -> list[str]:
    first = "complete -c rateproof -n __fish_use_subcommand -f"
    lines = [f"{first} -l version -l help"]
    for verb in VERBS.values():
        lines.append(f"{first} -a {verb.name} -d {_quoted(verb.summary)}")
        here = f"complete -c rateproof -n '__fish_seen_subcommand_from {verb.name}'"
        lines.append(f"{here} -l help -s h")
        for option in verb.options:
            flags = [
                f"-l {flag[2:]}" if flag[2:] else f"-s {flag[1]}" for flag in _flags(verb, option)
            ]
            if option.choices:
                flags.append(f"-x -a '{' '.join(option.choices)}'")
            elif not option.switch:
                flags.append("-r")
            lines.append(f"{here} {' '.join(flags)} -d {_quoted(option.help)}")
    return lines


def _quoted(text: str) -> str:
    """A text as one word of fish, in which only these two are escaped within quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
