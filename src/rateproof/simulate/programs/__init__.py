"""The plan of a client, as a list of instructions: no clock, no I/O.

Behaviours are written as `steps`, compiled to a `program`, and run by its
interpreter or by the native engine; `rng` and `arrivals` make the draws.
"""
