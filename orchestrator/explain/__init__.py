"""
Why a message went where it went, for somebody who has nothing but its id.

    gather       everything there is about one message    (store → Material)
    explanation  one document of it                        (Material → JSON types)
    as_text      the document for a terminal
    as_page      the document as one self-contained HTML page

Everything is read from the message's own history and the versions that its decisions rested on:
every fact in its order, what each gate said with its value and limit, what was decided, what came
of it, and what would have had to be different.
"""

from orchestrator.explain.document import Material, explanation, gather
from orchestrator.explain.otherwise import OTHERWISE
from orchestrator.explain.page import as_page
from orchestrator.explain.text import as_text, print_rich

__all__ = [
    "OTHERWISE",
    "Material",
    "as_page",
    "as_text",
    "explanation",
    "gather",
    "print_rich",
]
