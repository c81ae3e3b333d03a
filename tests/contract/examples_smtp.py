"""Mail that comes back by HTTP; the protocol itself is tried against a real server in test_smtp_server.py."""

from __future__ import annotations

from adapter_conformance import REFERENCE, Examples, HookExample, changed, hook

from orchestrator import channels as ch

R = ch.Reason
SECRET = "bounce-secret-canary"


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    return changed(unsigned, authorization=f"Bearer {secret}")


def bounce(action: str, status: str, diagnostic: str) -> ch.Webhook:
    text = f"""From: MAILER-DAEMON@mx.example.com
To: hello@shop.example.com
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It did not work.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; olena@example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

--b
Content-Type: text/rfc822-headers

Message-ID: <{REFERENCE}@shop.example.com>
Subject: x

--b--
"""
    return hook(body=text.encode())


def complaint() -> ch.Webhook:
    text = f"""From: abuse@provider.example
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1

--b
Content-Type: message/rfc822

Message-ID: <{REFERENCE}@shop.example.com>
Subject: x

text
--b--
"""
    return hook(body=text.encode())


def mail(headers: str, text: str) -> ch.Webhook:
    kind = "Content-Type: text/plain; charset=utf-8"
    return hook(body=f"From: Olena <olena@example.com>\nMessage-ID: <r1@example.com>\n{kind}\n{headers}\n{text}\n".encode())


EXAMPLES = Examples(
    adapter="smtp",
    settings={"host": "127.0.0.1", "from": "Shop <hello@shop.example.com>", "bounce_secret": SECRET, "open_pixel": True},
    secrets=(SECRET,),
    secret=SECRET,
    sign=sign,
    proof="authorization",
    signs_body=False,
    elsewhere=frozenset({"read", "clicked"}),
    hooks=(
        HookExample(
            promise="a dead mailbox",
            hook=bounce("failed", "5.1.1", "550 5.1.1 no such user"),
            says=(
                ch.Receipt(
                    state=ch.Delivery.FAILED,
                    client_reference=REFERENCE,
                    failure=ch.Refused(R.REFUSED_ADDRESS, "550 5.1.1"),
                ),
            ),
        ),
        HookExample(promise="delayed is no news", hook=bounce("delayed", "4.4.1", "451 busy"), says=()),
        HookExample(
            promise="a complaint",
            hook=complaint(),
            says=(ch.Receipt(state=ch.Engagement.COMPLAINED, client_reference=REFERENCE),),
        ),
        HookExample(
            promise="a reply, without what it quotes",
            hook=mail("Subject: Re: x\n", "Дякую\n> старе"),
            says=(ch.Inbound(kind="email", value="olena@example.com", text="Дякую", id="<r1@example.com>"),),
        ),
        HookExample(
            promise="an out-of-office note is nobody's word",
            hook=mail("Auto-Submitted: auto-replied\n", "I am away"),
            says=(),
        ),
    ),
)
