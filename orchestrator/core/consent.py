"""
Consent: may we write to this person, on this channel, about this?

A history of yeses and noes is read as people mean it, not as a table of settings:

* An entry speaks for its channel and its topic, ``*`` being all of them, and for its classes where
  it names some.
* A no holds against everything said before it in its scope, however precise: who leaves altogether
  leaves the newsletter too, though its box was ticked once.
* A no is lifted only by a later yes that is at least as specific, and only where that yes speaks.
  So "you may write to me" does not bring back the SMS that somebody stopped.
* Specific means channel and topic, then channel, then topic, then neither. Channel stands above
  topic: a no to a channel is a no to being reached there, and ticking a topic is not taken for a
  wish to be called about it. The other way round a yes to a channel does lift a no to a topic,
  there and nowhere else. Classes narrow whom an entry speaks for, but do not rank it.
* A no and a yes of the same instant: the no counts.
* START is not a yes. It takes back a STOP on the same channel and lets what was said before count
  again; it does not touch a no that came by an unsubscribe link or from anyone else, and agrees to
  nothing new.

One-time codes are asked for by the person who gets them, so their class is the only one that may
``bypass`` all this.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.policy import ConsentDefault
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Consent
from orchestrator.core.values import Value

EVERY = "*"
STOP, START = "stop", "start"
"""The sources of entries that a recipient's own STOP and START words made."""


class ConsentVerdict(Value):
    """
    ``entry`` is the one that decided, None if the class default did; ``reason`` is set if it is not
    allowed.
    """

    allowed: bool
    entry: Consent | None = None
    reason: Reason | None = None


def verdict(
    entries: Iterable[Consent],
    channel: str,
    topic: str,
    message_class: str,
    default: ConsentDefault,
) -> ConsentVerdict:
    """
    Decide by the recipient's and the address's ``entries``, in any order, doubles allowed.

    ``default`` is the class's: ``opt_out`` passes without an entry, ``opt_in`` needs a yes,
    ``bypass`` asks nobody. A refusal is OPTED_OUT if an entry says no, NO_CONSENT if a yes is
    missing.
    """
    if default == "bypass":
        return ConsentVerdict(True)
    applying = [entry for entry in entries if applies(entry, channel, topic, message_class)]
    if not applying:
        return (
            ConsentVerdict(True)
            if default == "opt_out"
            else ConsentVerdict(False, None, Reason.NO_CONSENT)
        )
    yeses = [entry for entry in applying if entry.state == "in"]
    noes = [
        entry
        for entry in applying
        if entry.state != "in" and not any(lifts(yes, entry) for yes in yeses)
    ]
    if noes:
        return ConsentVerdict(False, max(noes, key=_weight), Reason.OPTED_OUT)
    own = [yes for yes in yeses if yes.source != START]
    if own:
        return ConsentVerdict(True, max(own, key=_weight))
    if default == "opt_out":
        return ConsentVerdict(True)
    return ConsentVerdict(False, None, Reason.NO_CONSENT)


def applies(entry: Consent, channel: str, topic: str, message_class: str) -> bool:
    """Whether an entry speaks for this channel, topic and class."""
    return (
        entry.channel in (EVERY, channel)
        and entry.topic in (EVERY, topic)
        and (not entry.classes or message_class in entry.classes)
    )


def specificity(entry: Consent) -> int:
    """3 for a channel and a topic, 2 for a channel, 1 for a topic, 0 for everything."""
    return 2 * (entry.channel != EVERY) + (entry.topic != EVERY)


def lifts(yes: Consent, no: Consent) -> bool:
    """Whether a yes undoes a no, wherever both of them speak."""
    if yes.source == START and (no.source != STOP or no.channel != yes.channel):
        return False
    return yes.said_at > no.said_at and specificity(yes) >= specificity(no)


def _weight(entry: Consent) -> tuple[int, int, str, tuple[str, ...]]:
    """Most specific, then newest; the rest makes the choice independent of the entries' order."""
    return specificity(entry), entry.said_at, entry.source, entry.classes
