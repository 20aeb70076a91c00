"""`python -m rateproof`: the command line."""

from rateproof.cli import entry

if __name__ == "__main__":
    entry()
