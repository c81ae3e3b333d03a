"""The account at Meta: its settings, whether it can be used, and the templates that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from adapters.whatsapp import catalogue
from orchestrator import channels as ch


class WhatsAppSettings(ch.AdapterSettings):
    """
    ``app_secret`` may be a list while it is rotated: each of them verifies. You choose
    ``verify_token`` yourself. ``business_id``: the WhatsApp business account, whose templates are
    compared with ours.
    """

    api_version: str = Field(default="v25.0", pattern=r"^v[0-9]+\.[0-9]+$")
    phone_number_id: str = Field(pattern=r"^[0-9]+$")
    business_id: str | None = Field(default=None, pattern=r"^[0-9]+$")
    access_token: ch.Secret
    app_secret: ch.Secrets
    verify_token: ch.Secret
    base_url: ch.BaseUrl = "https://graph.facebook.com"


class WhatsAppAccount(ch.HttpAdapter[WhatsAppSettings]):
    """What can be asked about an account without sending anything."""

    def probe(self, now: float) -> ch.HttpCall:
        """The number."""
        return self._get(f"{self.settings.phone_number_id}?fields=id,display_phone_number")

    def catalogue(self, after: str) -> ch.HttpCall | None:
        """The templates of the business account, if that is known."""
        own = self.settings
        if own.business_id is None:
            return None
        query = {"fields": catalogue.FIELDS, "limit": str(catalogue.PAGE)}
        more = {"after": after} if after else {}
        return self._get(ch.with_query(f"{own.business_id}/message_templates", **query, **more))

    def approved(self, reply: ch.HttpReply) -> tuple[list[ch.ApprovedTemplate], str | None] | None:
        """The templates of one page."""
        return catalogue.read(reply.json()) if reply.status == 200 else None

    def mismatch(
        self, part: Mapping[str, Any], locale: str, approved: Sequence[ch.ApprovedTemplate]
    ) -> tuple[str, str] | None:
        """What Meta would refuse."""
        return catalogue.mismatch(part, locale, approved)

    def _get(self, path: str) -> ch.HttpCall:
        own = self.settings
        token = own.access_token.get_secret_value()
        url = f"{own.base_url}/{own.api_version}/{path}"
        return ch.get_call(url, Authorization=f"Bearer {token}")
