"""Write docs/reference: a page for each verb, from the declarations of its options."""

from pathlib import Path

from rateproof.options.arguments import EXIT_CODES, NOTES
from rateproof.options.declared import VERBS, Verb
from rateproof.options.kinds import Option

FOLDER = Path(__file__).parents[1] / "docs/reference"


def page(verb: Verb) -> str:
    """The page of a verb."""
    examples = "\n".join(f"rateproof {example}" for example in verb.examples)
    parts = [f"# rateproof {verb.name}", verb.summary, f"```\n{examples}\n```"]
    if verb.environment:
        parts.append(" ".join(NOTES.split()))
    elsewhere = verb.environment or verb.waits
    for heading, options in verb.groups.items():
        columns = ["option", "meaning", "accepted", "default"]
        columns += ["in a file"] if elsewhere else []
        rows = [columns, ["---"] * len(columns)]
        for option in options:
            cells = [_flags(option), option.help, _accepted(option), _default(option)]
            if elsewhere:
                cells.append(f"`{option.in_file}`" if option.filed else "")
            rows.append(cells)
        table = "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)
        parts.append(f"## {heading.capitalize()}\n\n{table}")
    parts.append(f"{EXIT_CODES.capitalize()}.".replace("\n", " "))
    return "\n\n".join(parts) + "\n"


def _flags(option: Option) -> str:
    flags = [f"-{option.short}"] if option.short else []
    flags.append(option.flag)
    value = "" if option.switch or option.positional else f" {option.placeholder}"
    return ", ".join(f"`{flag}{value}`" for flag in flags)


def _accepted(option: Option) -> str:
    return "" if option.switch else str(option.kind.form)


def _default(option: Option) -> str:
    return option.otherwise or option.default or ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for verb in VERBS.values():
        (FOLDER / f"{verb.name}.md").write_text(page(verb))


if __name__ == "__main__":
    main()
