"""
Opt-ins and opt-outs, as far as they were certain when an intent was committed.

A no counts from when the service had acknowledged it; a yes as soon as the service might have had
it. So a send that this calls forbidden was forbidden, however the races went.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tests.simulation.checks.evidence import Evidence, Sent
from tests.simulation.truth import Deed
from tests.simulation.workload import CONSENTED_MS

ABOUT_SAME_MS = 2_000
STOPS, STARTS = ("STOP", "стоп"), ("START",)
ADDRESSES = ("phone", "email", "viber_bot_id")


@dataclass(frozen=True, slots=True)
class Word:
    """
    One yes or no: ``who`` is a recipient's id or an address; ``tried`` and ``done`` are orders of
    the ledger, ``done`` None where it was never acknowledged, and ``gone`` the order from which it
    does not count any more; ``keyword`` marks STOP and START.
    """

    who: str
    channel: str
    topic: str
    yes: bool
    at: int
    tried: int
    done: int | None
    classes: tuple[str, ...] = ()
    keyword: bool = False
    gone: int | None = None

    @property
    def weight(self) -> int:
        return 2 * (self.channel != "*") + (self.topic != "*")


class Words:
    """Everything that was said in a run, in the order in which it was done."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.words: list[Word] = []
        for deed in sorted(
            evidence.ledger.deeds, key=lambda one: one.answered.order if one.answered else 0
        ):
            self._take(deed)

    def _take(self, deed: Deed) -> None:
        what, evidence = deed.what, self._evidence
        if deed.tried is None:
            return
        tried, done = deed.tried.order, deed.answered.order if deed.answered is not None else None
        at = deed.answered.wall if deed.answered is not None else deed.tried.wall
        match deed.kind:
            case "publish":
                for person in what["people"]:
                    if evidence.humans[person].consents:
                        agreed = evidence.run.options.start - CONSENTED_MS
                        self.words.append(Word(person, "*", "*", True, agreed, tried, done))
            case "opt_out":
                who = what.get("recipient") or what["address"]
                self.words.append(Word(who, what["channel"], what["topic"], False, at, tried, done))
            case "reply" if what["text"] in (*STOPS, *STARTS):
                yes = what["text"] in STARTS
                word = Word(
                    what["address"],
                    what["channel"],
                    "*",
                    yes,
                    deed.tried.wall,
                    tried,
                    done,
                    (),
                    True,
                )
                self.words.append(word)
            case "prefer":
                classes = ("promotional",) if what["channel"] == "whatsapp" else ()
                yes = what["state"] == "in"
                self.words.append(
                    Word(
                        what["address"],
                        what["channel"],
                        "*",
                        yes,
                        deed.tried.wall,
                        tried,
                        done,
                        classes,
                    )
                )
            case "erase":
                self._erase(what["recipient"], tried, done)

    def _erase(self, person: str, tried: int, done: int | None) -> None:
        """
        An erasure removes a person's consents, except their refusals: those stay with the
        addresses.
        """
        if done is None:
            return
        profile = self._evidence.humans[person].profile
        kept: list[Word] = []
        for word in self.words:
            mine = word.who == person and word.gone is None
            if mine and not word.yes:
                kept += [
                    replace(word, who=profile[kind], done=done)
                    for kind in ADDRESSES
                    if kind in profile
                ]
                kept.append(replace(word, gone=tried))
            elif mine and word.done is not None and word.done < tried:
                kept.append(replace(word, gone=done))
            else:
                kept.append(word)
        self.words = kept

    def about(self, sent: Sent, order: int) -> Iterator[Word]:
        """
        The consents that apply to a send: of its person and address, its channel, topic and class.
        """
        message = sent.message
        for word in self.words:
            if (
                word.who in (message.recipient, sent.write.address)
                and word.channel in ("*", sent.write.channel)
                and word.topic in ("*", message.topic)
                and (not word.classes or message.message_class in word.classes)
                and (word.gone is None or order < word.gone)
            ):
                yield word


def forbidden(words: Words, sent: Sent, order: int, default: str) -> str | None:
    """
    The consent that forbids a send whose intent was committed at ``order``; None if it may have
    been allowed.
    """
    if default == "bypass":
        return None
    spoken = list(words.about(sent, order))
    yeses = [word for word in spoken if word.yes and word.tried < order]
    for no in spoken:
        if not no.yes and no.done is not None and no.done < order and not lifted(no, yeses):
            return f"after {no.who} had opted out of {no.channel} × {no.topic}"
    if default == "opt_in" and not any(not yes.keyword for yes in yeses):
        return f"though {sent.message.recipient} never said yes"
    return None


def lifted(no: Word, yeses: Iterable[Word]) -> bool:
    """A later yes that is at least as specific; a START takes back a STOP and nothing else."""
    return any(
        yes.at >= no.at - ABOUT_SAME_MS
        and yes.weight >= no.weight
        and (not yes.keyword or no.keyword)
        for yes in yeses
    )
