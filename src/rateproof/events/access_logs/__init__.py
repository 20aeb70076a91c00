"""Access logs of servers and proxies, read as event logs with wide intervals.

To be read in this order:

1. `pattern`: a format as fields between literals, and what each field means
2. `notations`: format strings of nginx and Apache, as they stand in a configuration
3. `formats`: the table of known formats, each with its source
4. `identity`: the key of a request, from the fields that a format has
5. `where`: which requests the policy counts
6. `reading`: the settings of a reading; the native scanner, which does the work
7. `recognition`: the format that first lines show, and the first record in words
8. `clients`: codes instead of keys
9. `scan`: pieces of files in, chunks of columns out
10. `feeding`: files fed to a scan, one after the other
11. `rotation`: the files of a log, in the order in which they were written
12. `access_log`: a whole log, as an `EventLog`

A stamp L is that of the end of a request, cut off to its step g: it ended in [L, L + g). With a
duration d, cut off to h, it began in [L - d - h, L + g - d); without one it began at most
`longest` before. Of a stamp of the beginning the same holds the other way round. The decision
lies between beginning and end. Servers read their clock once a turn of their event loop:
`CLOCK_LAG_NS` widens both sides.
"""

from rateproof.events.access_logs.access_log import read_access_log, read_access_logs
from rateproof.events.access_logs.formats import FORMATS, named
from rateproof.events.access_logs.pattern import Format
from rateproof.events.access_logs.reading import CLOCK_LAG_NS, LONGEST_NS, Reading
from rateproof.events.access_logs.recognition import of_a_known_format
from rateproof.events.access_logs.rotation import is_pattern
from rateproof.events.access_logs.where import Where

__all__ = [
    "CLOCK_LAG_NS",
    "FORMATS",
    "LONGEST_NS",
    "Format",
    "Reading",
    "Where",
    "is_pattern",
    "named",
    "of_a_known_format",
    "read_access_log",
    "read_access_logs",
]
