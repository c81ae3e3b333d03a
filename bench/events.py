"""The events that are published: 1 KB each, with a recipient inline."""

from __future__ import annotations

import json

EVENT_BYTES = 1024
PEOPLE = 20_000
"""The number of recipients; events go round among them."""

ORDER, CODE, PROMO, CASCADE = "bench.order.shipped", "bench.code", "bench.promo", "bench.cascade"
FAR, STEP = "bench.far", "bench.step"


def event(number: int, kind: str = ORDER, people: int = PEOPLE) -> str:
    """CloudEvent number ``number`` as JSON of ``EVENT_BYTES`` bytes."""
    person = number % people
    data = {
        "n": number,
        "order": f"{number:09d}",
        "code": f"{number % 1_000_000:06d}",
        "total": 3601.5,
        "items": [{"name": "Парфуми", "price": 1200.5}, {"name": "Крем для рук", "price": 2401}],
        "recipient": {
            "id": f"user-{person:07d}",
            "first_name": "Олена",
            "gender": "female",
            "locale": "uk-UA",
            "time_zone": "Europe/Kyiv",
            "phone": f"+38050{person:07d}",
        },
        "note": "",
    }
    ce = {
        "specversion": "1.0",
        "id": f"e-{number:09d}",
        "source": "bench",
        "type": kind,
        "subject": f"user-{person:07d}",
    }
    text = json.dumps({**ce, "data": data}, ensure_ascii=False, separators=(",", ":"))
    padding = max(0, EVENT_BYTES - len(text.encode()))
    return f'{text[:-3]}{"." * padding}"}}}}'


def batch(first: int, count: int, kind: str = ORDER, people: int = PEOPLE) -> bytes:
    """``count`` events as a CloudEvents batch."""
    return (
        "[" + ",".join(event(number, kind, people) for number in range(first, first + count)) + "]"
    ).encode()
