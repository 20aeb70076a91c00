"""docs/enforce/operations.md: its commands print what it shows, its sizes are what tables take."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rateproof import Limiter
from rateproof.enforce.stores.location import directory_of

PAGE = (Path(__file__).parents[2] / "docs" / "enforce" / "operations.md").read_text()
SIZES = re.findall(r"^\| `([^`]+)` \| (\d+) \|$", PAGE, re.MULTILINE)


def steps():
    """Each command of the page with the lines that it shows below it."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = step.partition("\n")
            if "<<END" in command:
                body, _, shown = shown.partition("END\n")
                command += f"\n{body}END"
            yield command, shown


def pattern(shown):
    return ".*".join(map(re.escape, shown.split("...")))


def test_the_commands_of_the_page_print_what_it_shows(tmp_path, free_port, spawn):
    """With windows of 50 s for those of 5: however slow the machine, they do not end meanwhile."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = spawn(
        *("-c", "import os; os.execvp('bash', ['bash'])"),
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "RATEPROOF_PORT": str(free_port)},
        stdin=subprocess.PIPE,
    )
    commands, expected = zip(*steps(), strict=True)
    script = "".join(f"{command}\necho --mark\n" for command in commands)
    script = script.replace("8080", str(free_port)).replace("per 5s", "per 50s")
    output, errors = shell.communicate(script, timeout=280)
    told = output.replace(str(free_port), "8080").replace("per 50s", "per 5s")
    printed = told.replace("for another 51 s", "for another 6 s").split("--mark\n")
    assert len(printed) == len(commands) + 1, output + errors
    for command, shown, seen in zip(commands, expected, printed[:-1], strict=True):
        plain = re.sub(" +$", "", seen, flags=re.MULTILINE)
        assert re.fullmatch(pattern(shown), plain, re.DOTALL), f"{command}: {seen}"


@pytest.mark.parametrize(("policy", "bytes_a_key"), SIZES)
def test_a_table_takes_as_much_as_the_page_says(policy, bytes_a_key, store):
    capacity = 10_000
    with Limiter(policy, store=store, capacity=capacity):
        folder = directory_of(store.removeprefix("shm://"))
        (table,) = [file for file in folder.glob("*.native") if "counters" not in file.name]
        assert table.stat().st_size / capacity == pytest.approx(int(bytes_a_key), rel=0.02)


def test_the_page_has_sizes_of_every_algorithm():
    assert len({policy.split()[0] for policy, _ in SIZES}) >= 5
