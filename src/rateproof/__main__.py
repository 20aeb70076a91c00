"""`python -m rateproof`: the command line."""

import sys

from rateproof.cli import main

if __name__ == "__main__":
    sys.exit(main())
