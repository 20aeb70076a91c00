"""Options of rateproof: each is declared once, whoever reads it.

Read in this order:

    kinds       what a value may be, and `Option`
    forms       the kinds that several options share
    shared      the options that several verbs share
    verb        a command, with its options
    declared    every verb with its options: the one table
    tables      what the settings file has beside the verbs: limits, endpoints
    lines       where in a TOML text each value stands
    reader      a TOML file, every mistake in it named with its line
    sources     flags over the environment over a file over the default
    arguments   the command line and its help
    completion  what completes the command line in a shell
    reference   the page of each verb in docs/reference
"""
