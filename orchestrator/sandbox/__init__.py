"""
Stand-in providers on real sockets: no account, no cost, no message to a real person.

Each file speaks one provider's API as documented, checks requests as strictly as the provider does
and signs its webhooks the same way. It shares no code with the adapters, so that it does not repeat
their mistakes. Its dependencies beyond the service's are the extra ``kaskad[sandbox]``.

    twilio.py  infobip.py  viber_bot.py  telegram.py  meta.py  push.py    the provider APIs
    smtp.py  smsc.py    those that have a port of their own
    standin.py   what the HTTP ones share          courier.py   receipts on their way
    script.py    how they behave, per address      inbox.py     what was accepted: the ground truth
    control.py   the API under /_sandbox/          page.py      the page with everyone's phone
    accounts.py  their credentials, and in which settings of which adapters they are written
    server.py    Sandbox, SandboxConfig, serve
"""

from orchestrator.sandbox.accounts import Accounts
from orchestrator.sandbox.script import ScriptError
from orchestrator.sandbox.server import Sandbox, SandboxConfig, Unbindable, serve

__all__ = ["Accounts", "Sandbox", "SandboxConfig", "ScriptError", "Unbindable", "serve"]
