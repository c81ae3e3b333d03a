"""What somebody has sent besides words, as Meta's messages name it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator import channels as ch

MEDIA: dict[str, ch.MediaKind] = {
    "image": "image",
    "video": "video",
    "document": "file",
    "audio": "audio",
    "sticker": "image",
}


def media_of(message: Any) -> Iterator[ch.InboundMedia]:
    """A picture, a file or a voice message, by Meta's id of it."""
    for form, kind in MEDIA.items():
        if (id := ch.id_of(ch.member(message, form, "id"))) is not None:
            yield ch.InboundMedia(kind=kind, reference=id)
