"""
The gates that say "now" or "never": deadline, goal, suppression, consent, reachability and `when`.
"""

from __future__ import annotations

from orchestrator.core import consent
from orchestrator.core.gates import GateContext
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address, Consent
from orchestrator.explain.asked import Account, Asked, plain
from orchestrator.explain.words import Place, label_of, listed, plural
from orchestrator.primitives.durations import duration


def deadline(asked: Asked) -> Account:
    at = asked.message.deadline_at
    left = at - asked.at
    given = (
        f"a `deadline` of {duration(asked.policy.deadline_ms)}"
        if asked.policy is not None
        else "the policy's deadline"
    )
    otherwise = (
        f"It would have had to leave before {asked.place.words(at)}: {given},"
        f" {duration(max(0, -left))} earlier."
    )
    words = f"{duration(left)} left" if left > 0 else f"over for {duration(-left)}"
    return Account(asked.place.words(asked.at), asked.place.words(at), words, otherwise)


def suppression(asked: Asked) -> Account:
    context, account = asked.context, plain(asked)
    account.words = account.words or "none marked"
    if context is None or asked.passed:
        return account
    found = []
    for address in context.addresses:
        if (mark := context.suppression_of(address)) is not None:
            detail = f" ({mark.detail})" if mark.detail else ""
            found.append(
                f"{address.masked()} was proven dead by {mark.provider}{detail} at"
                f" {asked.place.words(mark.at)}"
            )
    account.words = listed(found)
    account.otherwise = (
        f"{listed(found)}. A new address, or this one given again with PUT"
        f" /v1/recipients/{asked.message.recipient}, would have been tried."
    )
    return account


def scope(entry: Consent) -> str:
    """``email × cart_reminders``, ``every channel × every topic``."""
    channel = "every channel" if entry.channel == consent.EVERY else entry.channel
    topic = "every topic" if entry.topic == consent.EVERY else entry.topic
    return f"{channel} × {topic}"


def entry_words(entry: Consent, place: Place) -> str:
    said = "yes" if entry.state == "in" else "no"
    return f"a {said} to {scope(entry)} of {place.words(entry.at)} by {entry.source or 'api'}"


def consented(asked: Asked) -> Account:
    context, account = asked.context, plain(asked)
    default = asked.check.get("limit")
    account.limit = f"class default {default}" if default else None
    account.words = account.value or ""
    if context is None:
        return account
    addresses: list[Address | None] = [
        a for a in context.addresses if context.suppression_of(a) is None
    ]
    verdicts = [context.consent_of(address) for address in addresses or [None]]
    chosen = next((verdict for verdict in verdicts if verdict.allowed), verdicts[0])
    if chosen.entry is not None:
        account.words = entry_words(chosen.entry, asked.place)
    if asked.passed:
        account.words = (
            account.words if chosen.entry is not None else f"nobody said no; {account.limit}"
        )
        return account
    noes = blocking(context, addresses[0] if addresses else None)
    if noes:
        account.otherwise = lifting(noes, asked)
    else:
        topic = asked.message.topic
        account.words = f"no entry speaks for {asked.channel} × {topic}"
        account.otherwise = (
            f"Class {asked.message.message_class} needs a yes. One for {asked.channel} × {topic},"
            f" for {asked.channel}, for {topic} or for everything, given by"
            f" {asked.place.words(asked.at)}, would have let it pass."
        )
    return account


def blocking(context: GateContext, address: Address | None) -> list[Consent]:
    """The noes that no yes has lifted, the most specific first."""
    entries = list(context.inputs.consents)
    state = context.inputs.address_states.get(address.hash) if address is not None else None
    entries += state.consents if state is not None else ()
    message = context.message
    applying = [
        e
        for e in entries
        if consent.applies(e, context.step.channel, message.topic, message.message_class)
    ]
    yeses = [entry for entry in applying if entry.state == "in"]
    noes = [
        no
        for no in applying
        if no.state != "in" and not any(consent.lifts(yes, no) for yes in yeses)
    ]
    unique = list(dict.fromkeys(noes))
    return sorted(unique, key=lambda no: (-consent.specificity(no), -no.at))


def lifting(noes: list[Consent], asked: Asked) -> str:
    """The one yes that would undo every no in the way."""
    narrowest, newest = noes[0], max(no.at for no in noes)
    what = entry_words(narrowest, asked.place)
    others = (
        f" (and {plural(len(noes) - 1, 'broader or older no', 'broader or older noes')})"
        if len(noes) > 1
        else ""
    )
    words = (
        f"A yes to {scope(narrowest)}, or to something narrower, newer than"
        f" {asked.place.words(newest)}, would lift {what}"
    )
    if all(no.source == consent.STOP for no in noes):
        return (
            f"{words}{others}. So would START from the recipient on"
            f" {listed(sorted({no.channel for no in noes}))}."
        )
    return f"{words}{others}."


def reachability(asked: Asked) -> Account:
    context, account = asked.context, plain(asked)
    if asked.passed:
        account.words = f"by {', '.join((account.value or '').split(','))}"
        return account
    if asked.check["reason"] == Reason.COUNTRY_NOT_ALLOWED:
        account.otherwise = (
            f"{account.value} would have had to stand in `sms_countries` (now {account.limit})."
        )
        return account
    if context is None:
        return account
    providers = context.providers
    if not providers:
        account.words = f"no provider for {asked.channel}"
        account.otherwise = (
            f"A provider for {asked.channel} would have had to be configured under `channels`."
        )
        return account
    kinds = list(dict.fromkeys(kind for provider in providers for kind in provider.kinds))
    has = [address.masked() for address in context.inputs.addresses]
    account.words = (
        f"the recipient had {listed(has)}" if has else "the recipient had no address at all"
    )
    needed = listed([label_of(kind) for kind in kinds], "or")
    names = listed([provider.name for provider in providers], "or")
    account.otherwise = (
        f"The recipient would have needed {needed} (not marked, not opted out), for {names}."
    )
    return account


def condition(asked: Asked) -> Account:
    account = plain(asked)
    account.words = (
        f"{account.limit} is {account.value}" if account.value else account.limit or "no condition"
    )
    if account.limit:
        account.otherwise = (
            f"`{account.limit}` would have had to be true; it was"
            f" {account.value or 'not to be evaluated'}."
        )
    return account


def goal(asked: Asked) -> Account:
    return Account(words="not reached" if asked.passed else "reached before the event was accepted")
