"""
Called by MkDocs, see mkdocs.yml: what makes pages that read well on a code host read well on the
site, too.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n", re.S | re.M)
CELL_CODE = re.compile(r"(?<!`)`[^`\n]+`")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are kept outside docs/."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).parent
    for name, source in config.extra["pages"].items():
        files.append(File.generated(config, name, content=(root / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    return for_site(markdown, page.file.src_uri, config.extra["pages"])


def for_site(markdown: str, name: str, pages: dict[str, str]) -> str:
    """
    A page as the site shows it. ``name`` is its name on the site; ``pages`` are those kept outside
    docs/. Diagrams are left out, because the script that draws them comes from another host; the
    tables below them say the same.
    """
    source = pages.get(name, f"docs/{name}")
    on_site = {path: site for site, path in pages.items()}

    def relink(found: re.Match[str]) -> str:
        text, target = found.groups()
        path, mark, anchor = target.partition("#")
        if "://" in target or not path:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        leads = on_site.get(path) or (path[5:] if path.startswith("docs/") else None)
        if leads is None:
            return text  # a file of the repository that is no page
        leads = posixpath.relpath(leads, posixpath.dirname(name) or ".")
        return f"[{text}]({leads}{mark}{anchor})"

    text = LINK.sub(relink, DIAGRAM.sub("", markdown))
    return "\n".join(
        CELL_CODE.sub(lambda code: code[0].replace("\\|", "|"), line)
        if line.startswith("|")
        else line
        for line in text.split("\n")
    )
