"""The table without Python: one call in Rust, the instant given, beside the reading of the clock."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from simulating.programs import program

from enforcing.measuring import Figure, figure, pin

RUST = Path(__file__).parents[2] / "rust"
WANTED = {"Table::hit admitted, cost 1": "<= 50", "Table::hit denied": "<= 50"}


def measure(_rounds: int) -> Iterator[Figure]:
    """The figures that `rust/enforce/benches/hit.rs` prints; it has rounds of its own."""
    cargo = program("cargo", "see https://rustup.rs")
    command = [
        cargo, "bench", "--quiet", "--locked", "--package", "rateproof-enforce", "--bench", "hit",
    ]  # fmt: skip
    subprocess.run([*command, "--no-run"], cwd=RUST, check=True)
    pin(1)
    for line in subprocess.check_output(command, cwd=RUST, text=True).splitlines():
        name, _, nanoseconds = line.partition("\t")
        yield figure(name, float(nanoseconds), "ns", wanted=WANTED.get(name))
