"""
Kaskad, in the order in which an event flows through it.

1.  ``intake``        CloudEvents by HTTP and Kafka are checked and become commands.
2.  ``engine``        The only loop: load what a batch touches, decide, commit once, answer. (``engine/engine.py``)
3.  ``core``          A pure function decides: ``decide(policy, message, inputs, fact, now)``. Cascades, gates, waits,
                      retries, failover and late receipts are here and nowhere else. (``core/decide.py``)
4.  ``stores``        One transaction per batch: messages, backlog, timers, recipients, addresses.
5.  ``dispatch``      Takes from the backlog, renders (``render``), takes a rate token and a slot, asks the engine, calls
                      the adapter, brings the outcome back as a fact. (``dispatch/dispatcher.py``, ``dispatch/sends.py``)
6.  ``channels``      The door through which adapters come; the built-in ones are in the package ``adapters``.
7.  ``api``           Receipts, messages, recipients, opt-outs, unsubscribe pages, dead letters.
8.  ``timers``        A due timer is one more fact. ``statuses`` tells the outside what has changed.
9.  ``app``           The wiring of one process; ``cli`` its verbs; ``demo`` and ``sandbox`` what you try it with.

Where is a decision taken? Always in ``core``: ``gates`` says whether a step may start, ``sending``
what follows from an answer, ``waiting`` what follows from a receipt or from silence.
"""
