"""`rateproof plan`: which limit to set, and what it would have done, from access logs.

To be read in this order:

1. `traffic`: the requests of each client, parted by key; the most of each in any window
2. `bounds`: what a policy would have rejected, at least and at most
3. `choice`: the tightest limits that reject nothing of most clients
4. `clients`: who is beyond a limit
5. `pasting`: the same limit for other limiters, and what each really admits
6. `findings`: all of it, as text and as JSON
7. `command`: the verb

A line of an access log says between which instants a request was decided (`events.access_logs`).
Every bound holds for all instants in between; what is only a model is marked so.
"""
