"""
A plug-in as anybody could write it: a channel of its own, and an adapter for it.

Reference: none; a loft takes ``{"ring", "reference", "note", "escort"}`` and answers
``{"flight"}``; it reports ``{"reference", "landed"}`` with its bell in a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from orchestrator import channels as ch

RING = re.compile(r"[A-Z]{2}-\d{4}-\d{1,6}")


def ring(value: Any, field: str) -> str:
    """The ring of a person's home loft, in upper case."""
    if not isinstance(value, str) or not RING.fullmatch(value.upper()):
        raise ch.Misshapen(field, "it is not a pigeon's ring", 'write it like "UA-2026-7"')
    return value.upper()


def escort_problem(found: Mapping[str, Any]) -> str | None:
    return None if isinstance(found.get("escort"), int) else "escort must be a number of pigeons"


PIGEON_RING = ch.AddressKind(
    name="pigeon_ring",
    label="a pigeon's ring",
    read=ring,
    schema={"type": "string", "maxLength": 14},
    sample=lambda _: "UA-2026-7",
    masked=lambda value: f"{value[:2]}…",
    looks_like=lambda value: RING.fullmatch(value) is not None,
)
CARRIER_PIGEON = ch.Channel(
    name="carrier_pigeon",
    parts=("text", "yaml"),
    needed=(("text",),),
    addresses=(PIGEON_RING,),
    structure=ch.Structure(keys=frozenset({"escort"}), problem=escort_problem),
    two_way=True,
    assumed=ch.Assumed(delivered=ch.Likelihood(1, 1_800, 3_600)),
)


class LoftSettings(ch.AdapterSettings):
    """``bell`` is the secret that the loft rings with."""

    base_url: ch.BaseUrl
    bell: ch.Secret


class PigeonLoft(ch.HttpAdapter[LoftSettings]):
    """Pigeons from one loft."""

    name: ClassVar[str] = "pigeon_loft"
    supports: ClassVar[ch.Capabilities] = ch.Capabilities(
        channel="carrier_pigeon", receipts=frozenset({"delivered"}), echo=True
    )
    settings_type: ClassVar[type[ch.AdapterSettings]] = LoftSettings

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        flight = {
            "ring": message.address.value,
            "reference": message.client_reference,
            "note": message.content["text"],
            **message.content.get("yaml", {}),
        }
        url = f"{self.settings.base_url}/flights"
        headers = {"Content-Type": "application/json"}
        return ch.HttpCall(method="POST", url=url, headers=headers, body=ch.json_bytes(flight))

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        flight = ch.id_of(ch.member(reply.json(), "flight"))
        return ch.Accepted(flight) if flight else ch.by_http_status(reply)

    def verify(self, hook: ch.Webhook) -> None:
        if not ch.matches(hook.headers.get("bell"), *ch.secrets_of(self.settings.bell)):
            raise ch.Forged("that is not our bell")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        reference = ch.member(hook.json(), "reference")
        if isinstance(reference, str) and ch.member(hook.json(), "landed") is True:
            yield ch.Receipt(state=ch.Delivery.DELIVERED, client_reference=reference)
