"""
Examples of the shapes that publishers and their receivers write and read, for the OpenAPI document.
A test holds each to its schema.
"""

from __future__ import annotations

from typing import Any

from orchestrator.channels import PHONE
from orchestrator.channels.builtin import VIBER

AT = "2026-11-21T10:00:00.000Z"
MESSAGE: dict[str, Any] = {
    "id": "01KXQ4M2V8Z3T6R1N5B7C9D0EF",
    "event": {"source": "shop/orders", "id": "981-shipped", "type": "shop.order.shipped"},
    "recipient": "user-42",
    "policy": "order_shipped",
    "policy_version": "5f1c0e7a",
    "class": "transactional",
    "topic": "order_shipped",
    "status": "running",
    "reason": None,
    "reason_detail": None,
    "succeeded_by": None,
    "flags": [],
    "cost": {"amount": "0.00", "currency": "UAH"},
    "step": 0,
    "created_at": AT,
    "starts_at": AT,
    "deadline_at": "2026-11-22T10:00:00.000Z",
    "finished_at": None,
    "reached_at": None,
    "retry_of": None,
    "retried_as": None,
    "digest": None,
    "caused_by": None,
    "hops": 0,
    "attempts": [],
}
EXAMPLES: dict[str, Any] = {
    "Event": {
        "specversion": "1.0",
        "id": "981-shipped",
        "source": "shop/orders",
        "type": "shop.order.shipped",
        "time": AT,
        "data": {
            "order_id": "981",
            "recipient": {"id": "user-42", "locale": "uk-UA", PHONE.name: PHONE.sample(1)},
        },
    },
    "Conversation": {"channel": VIBER.name, "text": "Ваше замовлення вже в дорозі."},
    "Code": {"code": "SPRING-7F3K"},
    "Codes": {"codes": ["SPRING-7F3K", "SPRING-9QX2"], "source": "spring.txt"},
    "Results": {
        "results": [
            {
                "index": 0,
                "source": "shop/orders",
                "id": "981-shipped",
                "status": "accepted",
                "messages": [MESSAGE["id"]],
            }
        ]
    },
    "Problem": {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "code": "missing_attribute",
        "detail": 'it must be a non-empty string; add "id": "…"',
        "field": "id",
    },
    "Profile": {"first_name": "Олена", "locale": "uk-UA", "attributes": {"vip": True}},
    "Consents": {"consents": [{"state": "out", "channel": "*", "topic": "sales"}]},
    "OptOuts": {"opt_outs": [{"recipient": "user-42", "channel": "*", "topic": "*"}]},
    "Retry": {"deadline": "2h", "dry_run": True},
    "Resolve": {"delivered": True},
    "NewPause": {"for": "1h", "why": "the provider asks us to wait"},
    "Token": {"expires_in": 3600},
    "Click": {"action": "reorder"},
    "UpTo": {"up_to": 17},
    "Message": MESSAGE,
    "OptOutEvent": {
        "specversion": "1.0",
        "id": "01KXQ4N7Z3",
        "source": "kaskad",
        "type": "kaskad.opt_out",
        "subject": "user-42",
        "time": AT,
        "datacontenttype": "application/json",
        "data": {
            "recipient": "user-42",
            "channel": "*",
            "topic": "*",
            "classes": [],
            "source": "stop",
            "at": AT,
            "message": None,
            "policy": None,
        },
    },
    "ReplyEvent": {
        "specversion": "1.0",
        "id": "01KXQ4N8B2",
        "source": "kaskad",
        "type": "kaskad.reply",
        "subject": MESSAGE["id"],
        "time": AT,
        "datacontenttype": "application/json",
        "data": {
            "channel": VIBER.name,
            "text": "Чудово!",
            "choice": "5",
            "media": [],
            "message": MESSAGE["id"],
            "policy": "survey",
            "recipient": "user-42",
            "address": "+380•••4567",
            "at": AT,
            "session_until": "2026-11-22T10:00:00.000Z",
        },
    },
    "StatusEvent": {
        "specversion": "1.0",
        "id": "01KXQ4N6A1B2C3D4E5F6G7H8JK",
        "source": "kaskad",
        "type": "kaskad.message.running",
        "subject": MESSAGE["id"],
        "time": AT,
        "datacontenttype": "application/json",
        "data": MESSAGE,
    },
}
"""By the name of the schema."""
