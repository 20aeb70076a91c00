"""Find traffic that breaks a limit: draw it, send it, judge what was seen, shrink what broke it.

Read in this order:

    session       the test: iteration after iteration until stopped, and what is kept of each
    iterations    what each of them sends, learnt from those before; keyring: as whom
    endpoints     several of them in one command, one after the other
    exploration/  what to send: attacks, drawn from the seed, and closer to what came close
    iteration     one of them, sent, watched and judged; replay: a schedule that was given instead
    pursuit       of what it found: shorter, and worse
    shrinking/    from a violation or a crash to the shortest schedule that does the same
    report/       what is left of it for people and programs
    server/       a server of our own: what is done to it, and what it dies of
"""

from rateproof.hunt.endpoints import run_tests
from rateproof.hunt.session import run_test
from rateproof.hunt.settings import TestSettings

__all__ = ["TestSettings", "run_test", "run_tests"]
