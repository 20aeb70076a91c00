"""The worst case: after a violation, the most that is let through, and how that grows.

`counts` says what is certain of a run, `growth` what kind of growth some runs show, and
`search` looks for the worst.
"""
