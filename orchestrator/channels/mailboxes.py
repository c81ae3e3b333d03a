"""Mail addresses: one form for each."""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

PLAIN = re.compile(
    r"[A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
LOCAL_PART_BYTES_MAX = 64


@lru_cache(maxsize=65_536)
def normal_email(value: str) -> str | None:
    """
    The address with its domain in lower case, None if it is not one. The library is only asked
    about unusual addresses: it is slow.
    """
    local, _, domain = value.rpartition("@")
    if len(local.encode("utf-8", "replace")) > LOCAL_PART_BYTES_MAX:
        return None
    if PLAIN.fullmatch(value):
        return f"{local}@{domain.lower()}"
    try:
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        return None
