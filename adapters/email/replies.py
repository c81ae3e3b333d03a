"""
What an SMTP reply means, by its enhanced code (RFC 3463) where it has one, else by its basic code, and by the stage.

An error at MAIL concerns us, at RCPT the recipient, at DATA the content. A 4xx took nothing and may be tried again.
"""

from __future__ import annotations

import re

from orchestrator import channels as ch

ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
QUEUED = re.compile(r"queued as (\S{1,100})", re.IGNORECASE)
GREYLIST_MS = 5 * 60_000
DETAIL_MAX = 200
DEAD = {"1.1": 1, "1.2": 1, "1.3": 1, "1.6": 1, "1.10": 1, "2.1": 2, "2.2": 3}
"""Subject and detail that say the address is dead, with how many such answers on different days it takes."""
PERSON = {"1.0", "1.4", "2.0", "2.4", "4.4"}
CONTENT = {"2.3", "3.4", "6.0", "6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7", "6.8", "6.9", "6.10"}
OURS = {"1.7", "1.8", "3.3", "3.5", "4.6", "5.0", "5.1", "5.2", "5.4", "5.5", "7.8"}
AUTHENTICATION = range(20, 30)
REPUTATION = re.compile(r"spf|dkim|dmarc|blocklist|blacklist|reputation|not authori[sz]ed|relay", re.IGNORECASE)
PHONE_OR_MAIL = re.compile(r"[\w.+%-]+@[\w.-]+")


def outcome_of(stage: str, code: int, text: str) -> ch.Outcome:
    """``stage``: connect, auth, mail, rcpt or data. ``code`` and ``text`` are the server's reply."""
    detail = PHONE_OR_MAIL.sub("<address>", " ".join(text.split()))[:DETAIL_MAX]
    enhanced = ENHANCED.search(text)
    shown = f"{code} {enhanced[0]}" if enhanced else str(code)
    permanent = (enhanced[1] == "5") if enhanced and enhanced[1] != "2" else code >= 500
    if stage == "auth" or code in (530, 535):
        return ch.Refused(ch.Reason.REFUSED_CONFIGURATION, shown, detail)
    if not permanent:
        greylisted = code in (450, 451) and stage in ("rcpt", "data")
        return ch.NotSent(ch.Reason.THROTTLED, GREYLIST_MS if greylisted else None, shown, detail)
    subject = f"{enhanced[2]}.{enhanced[3]}" if enhanced else ""
    return ch.Refused(refusal(stage, code, subject, detail), shown, detail, DEAD.get(subject, 1))


def refusal(stage: str, code: int, subject: str, detail: str) -> ch.Reason:
    """Whose fault a permanent error is."""
    if subject in DEAD:
        return ch.Reason.REFUSED_ADDRESS
    if subject in PERSON:
        return ch.Reason.REFUSED_RECIPIENT
    if subject in CONTENT:
        return ch.Reason.REFUSED_CONTENT
    policy, _, number = subject.partition(".")
    ours = subject in OURS or (policy == "7" and number.isdigit() and (int(number) in AUTHENTICATION or int(number) >= 500))
    if ours or (policy == "7" and REPUTATION.search(detail)):
        return ch.Reason.REFUSED_CONFIGURATION
    if stage in ("connect", "mail"):
        return ch.Reason.REFUSED_CONFIGURATION
    if stage == "data":
        return ch.Reason.REFUSED_CONTENT
    if not subject and code in (550, 551, 553):
        return ch.Reason.REFUSED_ADDRESS
    return ch.Reason.REFUSED_RECIPIENT


def queue_id(text: str) -> str | None:
    """The server's own name for a message it took."""
    found = QUEUED.search(text)
    return found[1] if found else None
