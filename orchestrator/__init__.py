"""
Kaskad: one event in, one person reached.

The packages in the order in which an event flows through them:

1.  ``api``, ``kafka``  receive CloudEvents; ``events`` checks them and returns an ``Event``.
2.  ``engine``          The only loop: load what a batch touches, decide, commit once, answer.
3.  ``core``            ``decide(policy, message, inputs, fact, now)`` is pure: the cascade, the
                        gates, waits, retries, failover and late receipts are here, nowhere else.
4.  ``stores``          One transaction a batch, on SQLite or PostgreSQL.
5.  ``dispatch``        Claims steps from the backlog, renders them (``render``), takes a rate token
                        and a connection slot, calls the adapter, reports the outcome as a fact.
6.  ``channels``        The channels and the adapter API; the built-in adapters are in ``adapters``.
7.  ``api``             Receives providers' webhooks and serves messages, recipients, opt-outs.
8.  ``engine.timers``   A timer that is due is one more fact. ``statuses`` publishes status events.
9.  ``app``             One process: ``runtime`` with its edges. ``cli`` has the verbs.

Beside the flow: ``configuration`` reads YAML; ``explain`` tells a message's story; ``virtual``
runs the same runtime in virtual time for ``policytests`` and ``simulate``; ``doctor`` examines an
installation; ``demo`` and ``sandbox`` are for trying it out.

``docs/architecture.md`` has the picture, and who may import whom.
"""

__version__ = "0.1.0"
