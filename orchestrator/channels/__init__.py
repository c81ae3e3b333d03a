"""
The public API for plug-ins: everything that the author of an adapter or a channel imports.

An adapter translates, and nothing else: our words into the provider's request, the provider's
answer and webhooks into our words. It does no I/O, retries nothing, logs nothing and never looks at
a clock: time and chance come with its arguments. It is registered under the entry-point group
``kaskad.adapters``, a channel under ``kaskad.channels``; the built-in ones are too.

    request(message)   Outgoing  -> HttpCall          what to send
    outcome(reply)     HttpReply -> Outcome           what the answer means
    verify(hook)       Webhook   -> None or Forged    is this really the provider?
    receipts(hook)     Webhook   -> Receipt | Inbound | Preference | Linked …

A protocol that is not HTTP subclasses ``Adapter`` and implements ``send`` itself.
"""

# ruff: isort: skip_file
# One statement a module: the sorter would write one for every re-exported name.

from pydantic import (
    SecretStr as SecretStr,
)

from orchestrator.channels.adapter_api import (
    Access as Access,
    Adapter as Adapter,
    Capabilities as Capabilities,
    Content as Content,
    HttpAdapter as HttpAdapter,
    LoginAdapter as LoginAdapter,
    S as S,
    Outgoing as Outgoing,
    choices_of as choices_of,
    AdapterSettings as AdapterSettings,
    Unsendable as Unsendable,
    by_http_status as by_http_status,
    hours as hours,
)
from orchestrator.channels.address_kinds import (
    APNS_DEVICE as APNS_DEVICE,
    EMAIL as EMAIL,
    FCM_DEVICE as FCM_DEVICE,
    PHONE as PHONE,
    RECIPIENT_ID as RECIPIENT_ID,
    TELEGRAM_ID as TELEGRAM_ID,
    VIBER_BOT_ID as VIBER_BOT_ID,
    WEB_PUSH as WEB_PUSH,
    WHATSAPP_ID as WHATSAPP_ID,
    AddressKind as AddressKind,
    Misshapen as Misshapen,
)
from orchestrator.channels.codes import (
    CodeTable as CodeTable,
    codes as codes,
)
from orchestrator.channels.gateway import (
    FORM as FORM,
    LoginSettings as LoginSettings,
    fields_of as fields_of,
    form_call as form_call,
    get_call as get_call,
    id_text as id_text,
    json_call as json_call,
    login as login,
    login_of as login_of,
    receipts_for as receipts_for,
    with_query as with_query,
)
from orchestrator.channels.mailboxes import (
    ascii_domain as ascii_domain,
    mailbox_identity as mailbox_identity,
)
from orchestrator.channels.kinds import (
    Assumed as Assumed,
    Channel as Channel,
    Likelihood as Likelihood,
    Structure as Structure,
)
from orchestrator.channels.programs import (
    is_program as is_program,
)
from orchestrator.channels.device_reports import (
    device_receipts as device_receipts,
    verify_device_report as verify_device_report,
)
from orchestrator.channels.readers import (
    DETAIL_CHARS_MAX as DETAIL_CHARS_MAX,
    ID_CHARS_MAX as ID_CHARS_MAX,
    TEXT_CHARS_MAX as TEXT_CHARS_MAX,
    BaseUrl as BaseUrl,
    Duration as Duration,
    Secret as Secret,
    Secrets as Secrets,
    code_of as code_of,
    e164 as e164,
    id_of as id_of,
    ids_of as ids_of,
    iso_seconds as iso_seconds,
    json_bytes as json_bytes,
    known_as as known_as,
    matches as matches,
    member as member,
    objects as objects,
    said as said,
    secret_values as secret_values,
    secrets_of as secrets_of,
    text_of as text_of,
    unix_seconds as unix_seconds,
    whole as whole,
)
from orchestrator.channels.reports import (
    Inbound as Inbound,
    InboundMedia as InboundMedia,
    MediaKind as MediaKind,
    REFERENCE_CHARS_MAX as REFERENCE_CHARS_MAX,
    Linked as Linked,
    Preference as Preference,
    Receipt as Receipt,
    Report as Report,
)
from orchestrator.channels.unseen import (
    without_inkless as without_inkless,
)
from orchestrator.channels.webhook_signing import (
    new_webhook_secret as new_webhook_secret,
    webhook_key as webhook_key,
    webhook_signature as webhook_signature,
)
from orchestrator.channels.wire import (
    any_reference as any_reference,
    Answer as Answer,
    ApprovedTemplate as ApprovedTemplate,
    Forged as Forged,
    HttpCall as HttpCall,
    same as same,
    HttpReply as HttpReply,
    Intake as Intake,
    Webhook as Webhook,
)
from orchestrator.core.outcomes import (
    Accepted as Accepted,
    InboxItem as InboxItem,
    NotSent as NotSent,
    Outcome as Outcome,
    Refused as Refused,
    Unknown as Unknown,
)
from orchestrator.core.reasons import (
    Reason as Reason,
)
from orchestrator.core.recipient import (
    Address as Address,
)
from orchestrator.core.status import (
    Delivery as Delivery,
    Engagement as Engagement,
)
