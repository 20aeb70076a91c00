"""Simulate many clients of a rate-limited server: `rateproof simulate` on threads and Requests.

`--transport native` takes the native engine instead.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("rateproof") is None:
    sys.path.insert(0, str(Path(__file__).parent / "src"))

from rateproof.cli import entry

if __name__ == "__main__":
    entry(["simulate", "--transport", "threads", *sys.argv[1:]], program="client.py")
