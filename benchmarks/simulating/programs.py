"""Running a program to its end, on the processor of the load, and what that cost."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulating.machine import LOAD


class Missing(LookupError):
    """Something that is measured is not there, or does not do what it should."""


@dataclass(frozen=True)
class Ran:
    """The output of a program, and the resources that it used."""

    began_ns: int
    said: str
    user_s: float
    system_s: float
    peak_bytes: int


def program(name: str, install: str) -> str:
    """The path of a program.

    Raises:
        Missing: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed ({install})")
    return path


def run(command: Sequence[str], within_s: float, given: bytes = b"") -> Ran:
    """Run a program on the processor of the load, with all the descriptors it may have.

    Raises:
        Missing: it fails, or takes longer than `within_s`.
    """
    pinned = [program("taskset", "apt install util-linux"), "--cpu-list", str(LOAD), *command]
    name = Path(command[0]).name
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        with tempfile.TemporaryFile() as standard_input:
            standard_input.write(given)
            standard_input.seek(0)
            began_ns = time.monotonic_ns()
            process = subprocess.Popen(pinned, stdin=standard_input, stdout=out, stderr=complaints)
        deadline = time.monotonic() + within_s
        peak_bytes = 0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise Missing(f"{name} takes longer than {within_s} s")
            peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
            time.sleep(0.02)
        _, status, used = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        complaints.seek(0)
        if process.returncode != 0:
            last = complaints.read().decode(errors="replace").strip()[-500:]
            raise Missing(f"{name} ends with {process.returncode}: {last}")
        return Ran(
            began_ns=began_ns,
            said=out.read().decode(errors="replace"),
            user_s=used.ru_utime,
            system_s=used.ru_stime,
            peak_bytes=peak_bytes,
        )


def _peak_bytes(process: int) -> int:
    """The most memory that it had resident; what os.wait4 says is at least what we have."""
    said = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", said)
    return int(found[1]) * 1024 if found else 0
