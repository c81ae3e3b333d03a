"""
A mail relay, met where the SMTP adapter hands over: a mail is a reference and an address, and the
answer is an outcome.

The protocol below has its own proofs against a real server. What comes back is real mail: bounces
in RFC 3464's form; reads come from the pixel, whose token only the service itself can read.
"""

from __future__ import annotations

from typing import Any

from orchestrator.channels import HttpCall
from tests.simulation.providers.base import Post, Reply, Request, StandIn, secret

SECRET = "a-secret-of-the-mail-pipe"
BOUNCE = """From: MAILER-DAEMON@relay.example.com
To: bounces@shop.example.com
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example.com
Original-Envelope-Id: {reference}

Final-Recipient: rfc822; someone@example.com
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 mailbox full
--b--
"""


class Mail(StandIn):
    adapter = "smtp"
    channel = "email"
    kind = "email"
    states = ("failed", "read")
    refusals = ("recipient", "content")

    def settings(self) -> dict[str, Any]:
        sender = "shop@shop.example.com"
        return {
            "host": "relay.example.com",
            "from": sender,
            "open_pixel": True,
            "bounce_secret": secret(SECRET),
        }

    def read(self, call: HttpCall) -> Request:
        """
        A mail as ``network.py`` wraps it: its envelope id is the body's first line, its recipient
        the address.
        """
        reference, _, text = call.body.decode().partition("\n")
        return Request(reference, call.url.removeprefix("mailto:"), text)

    def accept(self, request: Request, id: str) -> Reply:
        return Reply(250, f"queued as {id}".encode())

    def refuse(self, why: str) -> Reply:
        return Reply(554 if why == "content" else 550, why.encode())

    def unreadable(self) -> Reply:
        return Reply(299, b"2xx what?")

    def receipt(self, request: Request, id: str, state: str, now_ms: int) -> Post | None:
        if state != "failed":
            return None
        headers = {"content-type": "message/rfc822", "authorization": f"Bearer {SECRET}"}
        return Post(
            BOUNCE.format(reference=request.reference).replace("\n", "\r\n").encode(), headers
        )
