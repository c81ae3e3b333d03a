"""
The accounts that the stand-in providers know.

They are invented, fixed and public, so that a demo needs no sign-up and a configuration can be
copied as it stands; each can be replaced in ``SandboxConfig.accounts``. A request with any other
credential is refused as the real provider refuses it.

Each field says in which settings of which adapters it is written, and is called by its own name in
capitals in an environment: what ``kaskad sandbox`` prints, its page and the project that
``kaskad init`` writes follow from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MAIL, SMSC = "smtp", "smsc"
"""The stand-ins that have ports of their own; the others share the HTTP port."""
STAND_INS: Mapping[str, str] = {
    "twilio_sms": "twilio",
    "infobip_viber": "infobip",
    "viber_bot": "viber_bot",
    "telegram_bot": "telegram",
    "whatsapp_cloud": "meta",
    "turbosms_sms": "turbosms",
    "turbosms_viber": "turbosms",
    "smpp": SMSC,
    "smtp": MAIL,
    "web_push": "push",
    "fcm": "fcm",
    "apns": "apns",
}
"""The stand-in of each adapter that has one."""
DIALECTS: Mapping[str, Mapping[str, Any]] = {
    "smtp": {"tls": "none"},
    "smpp": {"receipt_ids": "decimal"},
}
"""Settings that an adapter needs to speak to its stand-in, because of how that one speaks."""


def account(value: Any, **settings: str) -> Any:
    """A field, and the key under which each adapter has it in its settings."""
    return field(default=value, metadata=settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """
    Credentials by provider. The stand-in sends ``infobip_webhook_…`` as basic auth with its reports
    (username None: none). ``viber_bot_token``, ``meta_app_secret`` and ``twilio_auth_token`` also
    sign the webhooks; ``telegram_secret_token`` stands in updates unless ``setWebhook`` gave one.
    """

    twilio_account_sid: str = account(
        "AC00000000000000000000000000000001", twilio_sms="account_sid"
    )
    twilio_auth_token: str = account("sandbox-twilio-auth-token", twilio_sms="auth_token")
    twilio_from: str = account("+15005550006", twilio_sms="from")
    infobip_api_key: str = account("sandbox-infobip-api-key", infobip_viber="api_key")
    infobip_webhook_username: str | None = account(
        "sandbox-infobip", infobip_viber="webhook_username"
    )
    infobip_webhook_password: str | None = account(
        "sandbox-infobip-webhook", infobip_viber="webhook_password"
    )
    viber_bot_token: str = account(
        "sandbox0000000000-viber0000000000-bot0000000000001", viber_bot="auth_token"
    )
    telegram_token: str = account(
        "7123450001:sandbox-telegram-bot-token-000000001", telegram_bot="token"
    )
    telegram_secret_token: str = account(
        "sandbox-telegram-secret-token", telegram_bot="secret_token"
    )
    telegram_bot: str = account("kaskad_sandbox_bot", telegram_bot="username")
    meta_access_token: str = account("sandbox-meta-access-token", whatsapp_cloud="access_token")
    meta_app_secret: str = account("sandbox-meta-app-secret", whatsapp_cloud="app_secret")
    meta_phone_number_id: str = account("106540352242922", whatsapp_cloud="phone_number_id")
    meta_business_id: str = account("102290129340398")
    meta_display_number: str = account("15550783881")
    meta_verify_token: str = account("sandbox-meta-verify-token", whatsapp_cloud="verify_token")
    turbosms_token: str = account(
        "sandbox-turbosms-token", turbosms_sms="token", turbosms_viber="token"
    )
    turbosms_webhook_secret: str = account(
        "sandbox-turbosms-webhook-secret",
        turbosms_sms="webhook_secret",
        turbosms_viber="webhook_secret",
    )
    smpp_system_id: str = account("sandbox", smpp="system_id")
    smpp_password: str = account("smpp-pw", smpp="password")
    smtp_username: str = account("sandbox", smtp="username")
    smtp_password: str = account("sandbox-smtp-password", smtp="password")

    def environment(self) -> Iterator[tuple[str, str]]:
        """Every account as the name and the value of an environment variable."""
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None:
                yield one.name.upper(), value

    def settings_of(self, adapter: str) -> dict[str, tuple[str, str]]:
        """An adapter's settings for its stand-in: each key with its variable and its value."""
        known = dict(self.environment())
        return {
            one.metadata[adapter]: (one.name.upper(), known[one.name.upper()])
            for one in fields(self)
            if adapter in one.metadata and one.name.upper() in known
        }
