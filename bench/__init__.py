"""
How fast, measured: one run, side by side, on one machine.

    python -m bench                      everything (under 20 minutes)
    python -m bench --only ceilings,life
    python -m bench.profile              where the time of a life goes

Every process that takes part runs by itself: the service under test, the provider it calls
(``bench.sink``), the publisher of events (``bench.publisher``) and the sender of receipts
(``bench.poster``). Only the first is measured.
"""
