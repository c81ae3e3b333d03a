"""
The explanation as one HTML page: no script, nothing loaded from anywhere, every word of it escaped.

It follows the reader's light or dark setting, and reads on a phone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from orchestrator.explain.journey_text import journey_lines
from orchestrator.explain.text import MARKS, both, clocks, error_words, name_of

FILES = Path(__file__).parent


def as_page(document: Mapping[str, Any]) -> str:
    """The document as a page that can be saved, mailed and opened anywhere."""
    if "journey" in document:
        return journey_page(document)
    pages = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"both": both, "clocks": clocks, "error": error_words}
    pages.filters |= {"gate": name_of, "prose": prose}
    style = Markup(
        (FILES / "page.css").read_text("utf-8")
    )  # our own file, and the only thing that is not escaped
    return pages.get_template("page.html.j2").render(style=style, marks=MARKS, **document) + "\n"


def journey_page(document: Mapping[str, Any]) -> str:
    """A journey's explanation as a page."""
    style = Markup((FILES / "page.css").read_text("utf-8"))
    body = "".join(
        "  " * depth + (Markup("<b>{}</b>").format(text) if "bold" in look else escape(text)) + "\n"
        for text, depth, look in journey_lines(document)
    )
    return Markup(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<style>{}</style></head>\n<body><main><pre style="white-space: pre-wrap">{}</pre></main>'
        "</body></html>\n"
    ).format(document["journey"]["id"], style, Markup(body))


def prose(text: str) -> Markup:
    """A sentence with its backticks as code; everything in it is escaped."""
    parts = text.split("`")
    inside = [
        Markup("<code>{}</code>").format(part) if odd % 2 else escape(part)
        for odd, part in enumerate(parts)
    ]
    return Markup("").join(inside) if len(parts) % 2 else escape(text)
