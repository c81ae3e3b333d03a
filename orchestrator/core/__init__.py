"""
The core decides; it never acts.

Standard library only: no await, no clock, no randomness, no logging, no I/O. Read in this order:

``reasons``   every "no" has one word
``outcomes``  what a provider's answer means at once
``status``    what receipts say later, and how they are merged
``policy``    the cascade and the governance, as data
``recipient`` addresses, consents, marks and charges
``facts``     what can happen to a message
``message``   its state, and the table of legal transitions
``gates``     may this step start now?
``decide``    fact in, decision out
``effects``   what the shell is asked to do
"""
