"""URLs in the configuration: the operator's own word, so plain http is allowed and warned of."""

from __future__ import annotations

import ipaddress
import urllib.parse

from orchestrator.configuration.reading import Report, Section, clip
from orchestrator.configuration.references import refers
from orchestrator.configuration.yaml_file import Node


def read_url(section: Section, key: str) -> str | None:
    """An absolute http(s) URL; plain http is the operator's own word, and warned of."""
    url = section.text(key, None)
    if url is None:
        return None
    shown = "" if refers(section.nodes[key].text) else f" {clip(url)!r}"
    parts = split_url(url)
    if parts is None:
        section.report.error(
            section.at(key), f"`{key}`{shown} is not a URL", "write https://host/path"
        )
        return None
    warn_of_plain_http(section.report, section.nodes[key], key, url)
    return url


def split_url(url: str) -> urllib.parse.SplitResult | None:
    """The parts of an absolute http(s) URL with a host and a sensible port, else None."""
    try:
        parts = urllib.parse.urlsplit(url)
        sensible = parts.port is None or parts.port > 0
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname and sensible else None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def warn_of_plain_http(report: Report, node: Node, key: str, url: str) -> None:
    """The warning for a URL whose traffic anyone on the way can read."""
    parts = split_url(url)
    if parts is not None and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        report.warn(
            node.position,
            f"`{key}` is plain http, which anyone on the way can read",
            "write https://",
        )
