"""
Web addresses as they go over a wire: ASCII, each character that needs it percent-encoded once.

Reference: RFC 3986; hosts by IDNA 2008 (RFC 5891), mapped as browsers do (UTS 46).
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote

URL_LENGTH_MAX = 4_096
"""Signed inside a tracked link it still fits into a request line."""
WHOLE = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
NEEDS_ENCODING = re.compile(r"[^A-Za-z0-9\-._~:/?@!$&'()*+,;=%]|%(?![0-9A-Fa-f]{2})")
HOST = re.compile(
    r"(?P<name>(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{0,5}))?",
    re.IGNORECASE,
)
HOST_LENGTH_MAX = 253
PORT_MAX = 65_535


@lru_cache(maxsize=256)
def encoded(url: str) -> str:
    """
    An http or https URL in ASCII; one that is encoded already stays as it is.

    Raises ``ValueError`` with what is wrong with one that nobody could follow.
    """
    url = url.strip()
    found = WHOLE.fullmatch(url) if len(url) <= URL_LENGTH_MAX else None
    if found is None:
        raise ValueError(f"it is not an http or https URL of at most {URL_LENGTH_MAX} characters")
    if "\\" in found["host"]:
        raise ValueError("its host is not a name")  # browsers read a backslash there as a slash
    userinfo, at, host = found["host"].rpartition("@")
    rest, hash, fragment = found["rest"].partition("#")
    whole = f"{found['scheme'].lower()}://{part(userinfo)}{at}{host_of(host)}{part(rest)}"
    whole += hash + part(fragment)
    if len(whole) > URL_LENGTH_MAX:
        raise ValueError(f"it is longer than {URL_LENGTH_MAX} characters")
    return whole


def part(text: str) -> str:
    """One part of a URL; what separates parts is left alone."""
    try:
        return NEEDS_ENCODING.sub(lambda found: quote(found[0], safe=""), text)
    except UnicodeEncodeError:
        raise ValueError("it has a half character in it") from None


def host_of(host: str) -> str:
    """A host with its port in ASCII: ``магазин.example`` is ``xn--80aairftm.example``."""
    name, colon, port = host, "", ""
    if not host.endswith("]") and ":" in host:
        name, colon, port = host.rpartition(":")
    name = unquote(name)
    if not name.isascii():
        import idna  # slow to import, and most hosts are ASCII

        try:
            name = idna.encode(name, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            raise ValueError("its host is not a name") from None
    found = HOST.fullmatch(f"{name}{colon}{port}")
    if found is None or len(name) > HOST_LENGTH_MAX or int(found["port"] or 0) > PORT_MAX:
        raise ValueError("its host is not a name")
    return found[0]
