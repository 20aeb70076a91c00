"""Tools for tests of pieces: the memory that makes them, and a check that is killed."""

import os
import signal
import subprocess
import sys

from rateproof.events import open_log_writer

MS = 1_000_000
S = 1_000 * MS
MEMORY = "--memory", "190MB"  # 180 are the program's

KILLED_MEANWHILE = """
import os, signal, sys
from rateproof import cli
from rateproof.prove import pieces
survey, seen = pieces.survey_piece, []
def killed_at_the_third(*given, **named):
    seen.append(given)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return survey(*given, **named)
pieces.survey_piece = killed_at_the_third
cli.main(["check", *sys.argv[1:]])
"""


def killed_meanwhile(log, folder):
    words = [sys.executable, "-c", KILLED_MEANWHILE, str(log), *MEMORY]
    killed = subprocess.run(words, check=False, env=os.environ | {"TMPDIR": str(folder)})
    assert killed.returncode == -signal.SIGKILL


def file_of(folder, rows):
    """The rows of a log in a file; its path."""
    path = folder / "log.parquet"
    with open_log_writer(path, rows.metadata) as writer:
        writer.write(rows)
    return path
