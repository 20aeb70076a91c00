"""Check that _native.pyi says what the built module has; say so where there is no module."""

import subprocess
import sys
from importlib.util import find_spec

if find_spec("rateproof._native") is None:
    print("The native core is not built: its stub is not checked.")
    sys.exit(0)
sys.exit(subprocess.call([sys.executable, "-m", "mypy.stubtest", "rateproof._native"]))
