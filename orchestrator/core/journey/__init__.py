"""
Journeys: what one person lives through, step by step, over days.

Read in this order:

``journey``  the steps, as data; every step has a path
``state``    one person's run of a journey, and the table of its statuses
``facts``    what can happen to a run
``inputs``   what a decision may look at besides, and how that is recorded
``effects``  what the shell is asked to do
``decide``   fact in, decision out
"""
