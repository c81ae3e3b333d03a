"""
Mail that comes back by HTTP; the protocol itself is tried against a real server in
test_smtp_real_server.py.
"""

from __future__ import annotations

from kaskad_testing import REFERENCE, Examples, HookExample, changed, hook
from orchestrator import channels as ch

R = ch.Reason
SECRET = "bounce-secret-canary"
PASSWORD = "smtp-password-canary"
ORIGINAL = f"Message-ID: <{REFERENCE}@shop.example.com>\nSubject: x\n"
ENVELOPE = f"Original-Envelope-Id: {REFERENCE}\n"


def sign(unsigned: ch.Webhook, secret: str) -> ch.Webhook:
    return changed(unsigned, authorization=f"Bearer {secret}")


def raw(text: str) -> ch.Webhook:
    return changed(hook(body=text.encode()), content_type="message/rfc822")


def report(
    kind: str, *parts: tuple[str, str], headers: str = "From: MAILER-DAEMON@mx.example.com\n"
) -> ch.Webhook:
    inner = "".join(f"--b\nContent-Type: {part}\n\n{text}\n" for part, text in parts)
    head = (
        f"{headers}MIME-Version: 1.0\nContent-Type: multipart/report; report-type={kind};"
        " boundary=b\n\n"
    )
    return raw(f"{head}{inner}--b--\n")


def bounce(
    action: str, status: str, diagnostic: str, *, envelope: str = "", original: str = ORIGINAL
) -> ch.Webhook:
    per_message = f"Reporting-MTA: dns; mx.example.com\n{envelope}"
    fields = f"Final-Recipient: rfc822; olena@example.com\nAction: {action}\nStatus: {status}\n"
    block = f"{per_message}\n{fields}Diagnostic-Code: smtp; {diagnostic}\n"
    prose = ("text/plain", "It did not work.\n")
    return report(
        "delivery-status",
        prose,
        ("message/delivery-status", block),
        ("text/rfc822-headers", original),
    )


def complaint(kind: str, *, original: str = ORIGINAL, more: str = "") -> ch.Webhook:
    block = f"Feedback-Type: {kind}\nUser-Agent: Mail/1\nVersion: 1\n{more}"
    prose = ("text/plain", "This is a complaint.\n")
    parts = (prose, ("message/feedback-report", block), ("message/rfc822", f"{original}\ntext\n"))
    return report("feedback-report", *parts, headers="From: abuse@provider.example\n")


def mail(headers: str, text: str, sender: str = "Olena <olena@example.com>") -> ch.Webhook:
    kind = "Content-Type: text/plain; charset=utf-8"
    return raw(f"From: {sender}\nMessage-ID: <r1@example.com>\n{kind}\n{headers}\n{text}\n")


def failed(
    code: str | None, reason: R, suppress_after: int = 1, state: ch.Delivery = ch.Delivery.FAILED
) -> tuple[ch.Receipt]:
    return (
        ch.Receipt(
            state=state,
            client_reference=REFERENCE,
            failure=ch.Refused(reason, code, suppress_after=suppress_after),
        ),
    )


def inbound(text: str, *answers: str) -> tuple[ch.Inbound]:
    return (
        ch.Inbound(
            kind="email",
            value="olena@example.com",
            text=text,
            id="<r1@example.com>",
            answers=answers,
        ),
    )


QMAIL = f"""Hi. This is the program at mx.example.com.
<olena@example.com>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 no such user here

--- Below this line is a copy of the message.

{ORIGINAL}
"""

EXAMPLES = Examples(
    adapter="smtp",
    settings={
        "host": "127.0.0.1",
        "from": "Shop <hello@shop.example.com>",
        "bounce_secret": SECRET,
        "open_pixel": True,
        "username": "shop",
        "password": PASSWORD,
    },
    secrets=(SECRET, PASSWORD),
    secret=SECRET,
    sign=sign,
    proof="authorization",
    signs_body=False,
    rotates="bounce_secret",
    elsewhere=frozenset({"read", "clicked"}),
    hooks=(
        HookExample(
            promise="a dead mailbox marks the address",
            hook=bounce("failed", "5.1.1", "550 5.1.1 no such user"),
            says=failed("5.1.1", R.REFUSED_ADDRESS),
        ),
        HookExample(
            promise="a full mailbox marks only after three days of it",
            hook=bounce("failed", "5.2.2", "552 5.2.2 over quota"),
            says=failed("5.2.2", R.REFUSED_ADDRESS, suppress_after=3),
        ),
        HookExample(
            promise="the diagnostic explains a vague status",
            hook=bounce("failed", "5.0.0", "550 5.1.1 no such user"),
            says=failed("5.1.1", R.REFUSED_ADDRESS),
        ),
        HookExample(
            promise="a vague failure does not mark",
            hook=bounce("failed", "5.0.0", "550 no"),
            says=failed("5.0.0", R.REFUSED_RECIPIENT),
        ),
        HookExample(
            promise="a bounce that speaks of our configuration never shuts the provider",
            hook=bounce("failed", "5.7.26", "550 5.7.26 DMARC"),
            says=failed("5.7.26", R.REFUSED_RECIPIENT),
        ),
        HookExample(
            promise="content that is too large is the content",
            hook=bounce("failed", "5.3.4", "552 5.3.4 too big"),
            says=failed("5.3.4", R.REFUSED_CONTENT),
        ),
        HookExample(
            promise="given up after days in a queue is expired",
            hook=bounce("failed", "4.4.7", "451 4.4.7 expired"),
            says=failed("4.4.7", R.REFUSED_RECIPIENT, state=ch.Delivery.EXPIRED),
        ),
        HookExample(
            promise="the envelope id finds a bounce that returns nothing",
            hook=bounce(
                "failed",
                "5.1.1",
                "550 no",
                envelope=f"Original-Envelope-Id: {REFERENCE}\n",
                original="Subject: x\n",
            ),
            says=failed("5.1.1", R.REFUSED_ADDRESS),
        ),
        HookExample(
            promise="a bounce of somebody else's mail says nothing",
            hook=bounce(
                "failed", "5.1.1", "550 no", original="Message-ID: <short@other.example>\n"
            ),
            says=(),
        ),
        HookExample(
            promise="delayed reports nothing", hook=bounce("delayed", "4.4.1", "451 busy"), says=()
        ),
        HookExample(
            promise="a bounce in prose",
            hook=mail("", QMAIL, sender="MAILER-DAEMON@mx.example.com"),
            says=failed("5.1.1", R.REFUSED_ADDRESS),
        ),
        HookExample(
            promise="prose that names no failure says nothing",
            hook=mail("", f"Still trying.\n{ORIGINAL}", sender="postmaster@mx.example.com"),
            says=(),
        ),
        HookExample(
            promise="a complaint",
            hook=complaint("abuse"),
            says=(ch.Receipt(state=ch.Engagement.COMPLAINED, client_reference=REFERENCE),),
        ),
        HookExample(
            promise="a complaint that names the mail and the address holds for both",
            hook=complaint("abuse", more="Original-Rcpt-To: <olena@example.com>\n"),
            says=(
                ch.Receipt(state=ch.Engagement.COMPLAINED, client_reference=REFERENCE),
                ch.Preference(
                    kind="email", value="olena@example.com", state="out", source="complaint"
                ),
            ),
        ),
        HookExample(
            promise="a complaint that hides the mail still names the address",
            hook=complaint(
                "abuse", original="Subject: x\n", more="Original-Rcpt-To: <olena@example.com>\n"
            ),
            says=(
                ch.Preference(
                    kind="email", value="olena@example.com", state="out", source="complaint"
                ),
            ),
        ),
        HookExample(
            promise="a mail that was taken out of the spam is no complaint",
            hook=complaint("not-spam"),
            says=(),
        ),
        HookExample(
            promise="a reply, without what it quotes",
            hook=mail(
                f"Subject: Re: x\nIn-Reply-To: <{REFERENCE}@shop.example.com>\n", "Дякую\n\n> старе"
            ),
            says=inbound("Дякую", REFERENCE),
        ),
        HookExample(
            promise="a mail out of the blue",
            hook=mail("Subject: Hi\n", "STOP"),
            says=inbound("STOP"),
        ),
        HookExample(
            promise="an out-of-office note is nobody's word",
            hook=mail("Auto-Submitted: auto-replied\n", "I am away"),
            says=(),
        ),
        HookExample(
            promise="nor is one that only says so",
            hook=mail("Subject: Automatic reply: x\n", "Away"),
            says=(),
        ),
        HookExample(
            promise="nor is a mailing list", hook=mail("Precedence: list\n", "News"), says=()
        ),
        HookExample(promise="a sender that is none", hook=mail("", "x", sender="nobody"), says=()),
    ),
)
