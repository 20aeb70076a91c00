"""Check: a log, or a piece of evidence, is read, judged and told of.

Read in this order:

    command     `rateproof check`
    named_log   the log that it names, whatever wrote it
    result      the verdict, told
    watch       a log that grows, judged piece by piece
    following   the files that grow, read for that
"""
