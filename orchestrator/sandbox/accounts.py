"""
The accounts that the stand-in providers know.

They are invented, fixed and public, so that a demo needs no sign-up and a configuration can be
copied as it stands; each can be replaced in ``SandboxConfig.accounts``. A request with any other
credential is refused as the real provider refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """
    Credentials by provider. The stand-in sends ``infobip_webhook_…`` as basic auth with its reports
    (username None: none). ``viber_bot_token``, ``meta_app_secret`` and ``twilio_auth_token`` also
    sign the webhooks; ``telegram_secret_token`` stands in updates unless ``setWebhook`` gave one.
    """

    twilio_account_sid: str = "AC00000000000000000000000000000001"
    twilio_auth_token: str = "sandbox-twilio-auth-token"
    twilio_from: str = "+15005550006"
    infobip_api_key: str = "sandbox-infobip-api-key"
    infobip_webhook_username: str | None = "sandbox-infobip"
    infobip_webhook_password: str | None = "sandbox-infobip-webhook"
    viber_bot_token: str = "sandbox0000000000-viber0000000000-bot0000000000001"
    telegram_token: str = "7123450001:sandbox-telegram-bot-token-000000001"
    telegram_secret_token: str = "sandbox-telegram-secret-token"
    telegram_bot: str = "kaskad_sandbox_bot"
    meta_access_token: str = "sandbox-meta-access-token"
    meta_app_secret: str = "sandbox-meta-app-secret"
    meta_phone_number_id: str = "106540352242922"
    meta_business_id: str = "102290129340398"
    meta_display_number: str = "15550783881"
    meta_verify_token: str = "sandbox-meta-verify-token"
    turbosms_token: str = "sandbox-turbosms-token"
    turbosms_webhook_secret: str = "sandbox-turbosms-webhook-secret"
    smpp_system_id: str = "sandbox"
    smpp_password: str = "smpp-pw"
    smtp_username: str = "sandbox"
    smtp_password: str = "sandbox-smtp-password"
