"""
The account's templates, and whether one of ours fits them.

Reference: Meta, "WhatsApp Business Account, Message Templates" (``GET
/{business_id}/message_templates``): name, language, status, components.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.whatsapp.template import buttons, listed
from orchestrator import channels as ch

PLACEHOLDER = re.compile(r"\{\{\s*[A-Za-z0-9_]+\s*\}\}")
MEDIA = ("IMAGE", "VIDEO", "DOCUMENT", "LOCATION")
FIELDS = "name,language,status,components"
PAGE = 200


def read(body: Any) -> tuple[list[ch.ApprovedTemplate], str | None] | None:
    """The templates of a page and the cursor of the next; None for an answer without them."""
    data = ch.member(body, "data")
    if not isinstance(data, list):
        return None
    after = ch.id_of(ch.member(body, "paging", "cursors", "after"))
    more = ch.member(body, "paging", "next") is not None
    return [template_of(one) for one in ch.objects(data)], after if more else None


def template_of(item: Mapping[str, Any]) -> ch.ApprovedTemplate:
    """One template; the placeholders of its components are counted."""
    counts = {"body": 0, "header": 0, "buttons": 0}
    for part in ch.objects(item.get("components")):
        kind, text = ch.text_of(part.get("type")).upper(), ch.text_of(part.get("text"))
        found = len(set(PLACEHOLDER.findall(text)))
        if kind == "BODY":
            counts["body"] = found
        elif kind == "HEADER":
            counts["header"] = 1 if part.get("format") in MEDIA else found
        elif kind == "BUTTONS":
            urls = [ch.text_of(one.get("url")) for one in ch.objects(part.get("buttons"))]
            counts["buttons"] = sum(1 for url in urls if PLACEHOLDER.search(url))
    status = ch.text_of(item.get("status")) or "?"
    return ch.ApprovedTemplate(
        name=ch.text_of(item.get("name")),
        language=ch.text_of(item.get("language")),
        status=status,
        usable=status == "APPROVED",
        **counts,
    )


def mismatch(
    part: Mapping[str, Any], locale: str, approved: Sequence[ch.ApprovedTemplate]
) -> tuple[str, str] | None:
    """What Meta would refuse of a YAML part, and how to fix it; None if nothing is known."""
    name = part.get("template")
    language = str(part.get("language") or locale.replace("-", "_"))
    if not isinstance(name, str) or "\u2026" in name + language:
        return None
    named = [one for one in approved if one.name == name]
    if not named:
        return f"the account has no template {name!r}", "have it approved, or fix its name"
    found = next((one for one in named if one.language == language), None)
    if found is None and not language:
        return None  # the recipient's locale decides
    if found is None:
        known = ", ".join(sorted({one.language for one in named}))
        what = f"the template {name!r} is not there in {language!r}"
        return what, f"there is {known}; have that translation approved, or name one of these"
    if not found.usable:
        what = f"the template {name!r} in {language!r} is {found.status}"
        return what, "fix it in WhatsApp manager, or use another one"
    given = part.get("body")
    count = len(given) if isinstance(given, list | Mapping) else int(given is not None)
    header = int(part.get("header") is not None)
    urls = sum(one["sub_type"] == "url" for one in buttons(listed(part.get("buttons"))))
    for place, ours, theirs in (
        ("body", count, found.body),
        ("header", header, found.header),
        ("button URL", urls, found.buttons),
    ):
        if ours != theirs:
            what = (
                f"the {place} of {name!r} in {language!r} takes {theirs} parameter(s), not {ours}"
            )
            return what, "give as many as the approved template has"
    return None
