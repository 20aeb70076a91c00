"""Test a rate-limited server until stopped: the same as `rateproof test`."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("rateproof") is None:
    sys.path.insert(0, str(Path(__file__).parent / "src"))

from rateproof.cli import entry

if __name__ == "__main__":
    entry(["test", *sys.argv[1:]], program="tester.py")
