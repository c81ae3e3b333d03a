"""
The choices of a question, as one channel can show them: buttons that the adapter draws, numbered
lines of the text, links of a mail, actions of a notification.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.channels import Capabilities, Channel
from orchestrator.core.replies import Choice, numbered
from orchestrator.render import Rendered, count
from orchestrator.render.filters import content_hash

LinkTo = Callable[[Choice], str]
"""The URL that answers with a choice."""


def with_choices(
    rendered: Rendered, channel: Channel, supports: Capabilities, link_to: LinkTo
) -> Rendered:
    """The content as it is sent. One without choices is not changed."""
    structure = rendered.parts.get("yaml")
    if not isinstance(structure, Mapping) or "choices" not in structure:
        return rendered
    choices = tuple(Choice(str(one["id"]), str(one["title"])) for one in structure["choices"])
    if supports.draws(choices, templated="template" in structure):
        return replace(rendered, choices=choices)
    parts = dict(rendered.parts)
    rest = {name: value for name, value in structure.items() if name != "choices"}
    if channel.choices == "actions":
        shown = [{"action": one.id, "title": one.title} for one in choices]
        rest["actions"] = [*rest.get("actions", ()), *shown]
    elif channel.choices == "links":
        links = [(link_to(one), one.title) for one in choices]
        add_links(parts, links)
    elif lines := numbered(choices):
        parts["text"] = f"{str(parts.get('text', '')).rstrip()}\n{lines}"
    if rest:
        parts["yaml"] = rest
    else:
        del parts["yaml"]
    counted = count(parts["text"]) if rendered.count is not None else None
    return replace(
        rendered, parts=parts, content_hash=content_hash(parts), count=counted, choices=choices
    )


def add_links(parts: dict[str, Any], links: list[tuple[str, str]]) -> None:
    """A link for each choice at the end of a mail, in both of its parts."""
    if "text" in parts:
        lines = "\n".join(f"{title}: {url}" for url, title in links)
        parts["text"] = f"{str(parts['text']).rstrip()}\n\n{lines}\n"
    if "html" in parts:
        items = "".join(
            f'<p style="margin:8px 0"><a href="{html.escape(url)}">{html.escape(title)}</a></p>'
            for url, title in links
        )
        head, body, tail = str(parts["html"]).rpartition("</body>")
        parts["html"] = f"{head}{items}{body}{tail}" if body else f"{tail}{items}"
