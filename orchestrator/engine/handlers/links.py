"""Handlers of the links by which recipients connect their messengers."""

from __future__ import annotations

from orchestrator.channels.registry import address_kinds, channels
from orchestrator.core.recipient import Consent
from orchestrator.engine.applying import record_consent
from orchestrator.engine.batch import BatchContext
from orchestrator.engine.commands import FollowLink, LinkUsed, OpenLinks, UnknownRecipient
from orchestrator.engine.handlers.handler import Handler
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork

LINK_MS = 24 * 3_600_000
SOURCE = "link"
"""The source of the consent of a person who has followed one."""


class OpenLinksHandler(Handler[OpenLinks]):
    def needs(self, needs: Needs, command: OpenLinks) -> None:
        needs.rows.recipients.add(command.recipient)

    def handle(self, context: BatchContext, command: OpenLinks) -> int:
        """Keep the links. Raises ``UnknownRecipient`` and ``LinkUsed``."""
        person = context.work.person(command.recipient)
        if not (person.known or person.dirty):
            raise UnknownRecipient(command.recipient)
        until = context.now + LINK_MS
        for hash, channel in command.links:
            if not person.open_link(hash, channel, until, command.message, context.now):
                raise LinkUsed(command.message)
        return until


class FollowLinkHandler(Handler[FollowLink]):
    def needs(self, needs: Needs, command: FollowLink) -> None:
        needs.rows.recipients.add(command.recipient)

    def needs_addresses(self, needs: Needs, command: FollowLink, work: UnitOfWork) -> None:
        linked = command.linked
        needs.addresses.addresses.add(needs.address_hash(linked.kind, linked.value))

    def handle(self, context: BatchContext, command: FollowLink) -> None:
        """
        Bind the address to the recipient whose link it was, with a consent for the channel. A link
        that is used, over, of another channel or of a recipient who was erased does nothing.
        Another profile that has the address keeps it, because several may share one.
        """
        linked, work = command.linked, context.work
        person = work.person(command.recipient)
        kind = address_kinds().get(linked.kind)
        if kind is None or kind.several or linked.kind not in channels()[command.channel].kinds:
            return
        if not person.use_link(command.hash, command.channel, context.now):
            return
        hash = context.address_hash(linked.kind, linked.value)
        person.merge({kind.written_as: linked.value}, context.now)
        at = min(int(linked.at * 1000), context.now) if linked.at is not None else context.now
        consent = Consent(command.channel, "*", "in", at, SOURCE)
        record_consent(context, person, hash, consent)
        document = work.address_document(hash)
        for known in ("suppressions", "bounces"):
            document.get(known, {}).pop(command.channel, None)
