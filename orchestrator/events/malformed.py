"""The error of an event that cannot be read."""

from __future__ import annotations

from typing import Any

from orchestrator.primitives import strict_json as strictjson


class Malformed(ValueError):
    """
    ``code`` is a short word, ``field`` the place of the fault, ``fix`` its remedy. ``example`` is a
    whole valid event, if one can be made.
    """

    def __init__(
        self, code: str, field: str, what: str, fix: str, example: dict[str, Any] | None = None
    ) -> None:
        place = f"{field}: " if field else ""
        super().__init__(f"{place}{what}; {fix}")
        self.code = code
        self.field = field
        self.what = f"{what}; {fix}"
        self.example = example


def read_json(body: bytes) -> Any:
    try:
        return strictjson.parse(body)
    except strictjson.NotJson as error:
        raise malformed(error) from None


def malformed(error: strictjson.NotJson) -> Malformed:
    return Malformed(error.code, error.where, error.what, error.fix)
