"""The league: real limiters, each judged against "5 in any 5 s" by `rateproof test` over HTTP."""
