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

from orchestrator.explain.text import MARKS, both, clocks, error_words, name_of

FILES = Path(__file__).parent


def as_page(document: Mapping[str, Any]) -> str:
    """The document as a page that can be saved, mailed and opened anywhere."""
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


def prose(text: str) -> Markup:
    """A sentence with its backticks as code; everything in it is escaped."""
    parts = text.split("`")
    inside = [
        Markup("<code>{}</code>").format(part) if odd % 2 else escape(part)
        for odd, part in enumerate(parts)
    ]
    return Markup("").join(inside) if len(parts) % 2 else escape(text)
