"""Programs that open mails and follow links before any person does."""

from __future__ import annotations

import re

AGENT_CHARS_MAX = 1024

ROBOT = re.compile(
    r"^(whatsapp|viber|telegram|signal|skype|slack|discord|line-poker)"
    r"|(?<!cu)bot\b|crawl|spider|slurp|preview|prefetch|scanner|link ?check|unfurl|safebrowsing"
    r"|facebookexternalhit|facebookcatalog|meta-external|whatsapp/|skypeuri|vkshare|embedly|iframely"
    r"|googleimageproxy|yahoomailproxy|googleother|google-(read|safety|page|inspect|favicon)"
    r"|google (favicon|web preview)|apis-google|mediapartners-google|feedfetcher"
    r"|safelinks|microsoft office (existence|protocol)|barracuda|proofpoint|urldefense|mimecast"
    r"|symantec|messagelabs|forcepoint|trendmicro|fortiguard|sophos|zscaler|virustotal|urlscan"
    r"|cloudmark|bitdefender|avast|checkpoint",
    re.IGNORECASE,
)
"""
Link previews, crawlers, mail scanners and image proxies, by their User-Agent. A messenger's name
counts where the User-Agent begins with it: its built-in browser, which a person looks at, begins
with ``Mozilla``.
"""


def is_program(agent: str) -> bool:
    """Whether a User-Agent is that of a program; an empty one is not."""
    return ROBOT.search(agent[:AGENT_CHARS_MAX]) is not None
