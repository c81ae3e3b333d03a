"""
Mail addresses: the one form in which each is kept and mailed, and the identity by which two
spellings are the same mailbox.

The domain is IDNA 2008 A-labels in lower case (RFC 5891; UTS 46, non-transitional), so ``straße``
is never ``strasse``. The local part stays as it was written, because only its server knows what
case means there (RFC 5321 2.4); people write their own either way, so identities compare without
case, and fold nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

import idna
from email_validator import EmailNotValidError, validate_email

from orchestrator.channels.unseen import WRITTEN_LENGTH_MAX, trimmed

PLAIN = re.compile(r"[A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*")
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
PUBLIC_DOMAIN = re.compile(r".+\.(?:[a-z]{2,63}|xn--[a-z0-9-]+)")
LOCAL_PART_BYTES_MAX = 64
DOMAIN_LENGTH_MAX = 253
MAILBOX_BYTES_MAX = 254
ANY_DOMAIN = "example.com"
MAILTO = "mailto:"


def normal_email(value: str) -> str | None:
    """The address as it is kept and mailed, None if it is not one."""
    return _normal(value) if len(value) <= WRITTEN_LENGTH_MAX else None


@lru_cache(maxsize=65_536)
def _normal(value: str) -> str | None:
    local, _, domain = trimmed(value).rpartition("@")
    try:
        # the root's dot, as it stands after an address at the end of a sentence
        name = ascii_domain(domain.removesuffix("."))
        address = f"{local_part(local)}@{name}"
    except ValueError:
        return None
    fits = len(address.encode()) <= MAILBOX_BYTES_MAX
    return address if fits and PUBLIC_DOMAIN.fullmatch(name) else None


def looks_like_email(text: str) -> bool:
    """Whether people would read it as a mail address, or as a link to one."""
    return ("@" in text and "://" not in text) or text[:7].lower() == MAILTO


def guessed_email(text: str, _countries: Sequence[str]) -> str | None:
    """The address in a link (``mailto:…``) or beside a name (``Olena <…>``)."""
    if len(text) > WRITTEN_LENGTH_MAX:
        return None
    inner = text.rpartition("<")[2].partition(">")[0]
    if inner[:7].lower() == MAILTO:
        inner = unquote(inner[7:].partition("?")[0])
    return normal_email(inner)


def local_part(value: str) -> str:
    """
    What stands before the ``@``, composed (NFC) and without quotes that it does not need. Raises
    ``ValueError``. The library is only asked about unusual ones: it is slow.
    """
    if len(value.encode("utf-8", "replace")) > LOCAL_PART_BYTES_MAX:
        raise ValueError("the part before @ is too long")
    if PLAIN.fullmatch(value):
        return value
    try:
        local = validate_email(
            f"{value}@{ANY_DOMAIN}", check_deliverability=False, allow_quoted_local=True
        ).local_part
    except EmailNotValidError as error:
        raise ValueError("the part before @ is not well-formed") from error
    if local.startswith('"') or len(local.encode()) > LOCAL_PART_BYTES_MAX:
        raise ValueError("the part before @ is not well-formed")
    return local


@lru_cache(maxsize=65_536)
def ascii_domain(domain: str) -> str:
    """
    A host's name as DNS has it: A-labels, lower case. Raises ``ValueError``.
    """
    name = domain.lower()
    if not name.isascii() or "xn--" in name:
        # an A-label is decoded and made again, so that each domain has exactly one spelling
        try:
            name = idna.encode(domain, uts46=True, std3_rules=True, transitional=False).decode()
        except (idna.IDNAError, UnicodeError) as error:
            raise ValueError("the part after @ is not an IDNA 2008 domain") from error
    if len(name) > DOMAIN_LENGTH_MAX or not all(map(LABEL.fullmatch, name.split("."))):
        raise ValueError("the part after @ is not a domain")
    return name


def mailbox_identity(value: str) -> str:
    """
    The same text for every spelling of one mailbox, and for no other; also for a text that is not
    a mailbox at all, because providers report such.
    """
    local, at, domain = (normal_email(value) or trimmed(value)).rpartition("@")
    return f"{without_case(local)}{at}{domain.lower()}"


def without_case(text: str) -> str:
    """
    A text in lower case, letter by letter: ``ß`` is not ``ss``, ``ı`` not ``i``. The two small
    sigmas are one letter, because their capital is.
    """
    if text.isascii():
        return text.lower()
    composed = unicodedata.normalize("NFC", text)
    letters = (c.lower() if len(c.lower()) == 1 else c for c in composed)
    return "".join(letters).replace("ς", "σ")
