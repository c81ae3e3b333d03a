"""
The core decides; it never acts.

Standard library only: no await, no clock, no randomness, no logging, no I/O. Read in this order:

``reasons``   one word for every "no"
``outcomes``  the four answers of a provider
``status``    receipts, and how they are merged
``policy``    the cascade and the governance, as data
``recipient`` addresses, consents, suppressions and cap usages
``facts``     what can happen to a message
``message``   its state, and the tables of legal moves
``gates``     may this step start now? One file a gate
``cascade``   fact in, decision out (start with ``decide``)
``effects``   what the shell is asked to do
``journey``   the same for journeys: steps, runs, facts, effects and their ``decide``
"""
