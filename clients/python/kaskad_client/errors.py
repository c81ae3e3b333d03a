"""What a call raises. Everything is a ``KaskadError``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


class KaskadError(Exception):
    """``results`` are those of the batches that went before, if ``publish_many`` was ended."""

    results: tuple[Any, ...] = ()


class BadEvent(KaskadError, ValueError):
    """An event that cannot be written as a CloudEvent. Nothing of it was sent."""


class Unreachable(KaskadError):
    """
    No answer came, however often it was tried. The service may have taken what was sent: publish
    the same ``Event`` again, which does nothing then.
    """


class InvalidWebhook(KaskadError):
    """A webhook that is not ours, or too old. Answer 400, and do nothing else."""


class ApiError(KaskadError):
    """
    The service has answered with a problem document (RFC 9457). ``code`` is a word for programs,
    ``detail`` says what is wrong and how to fix it, ``field`` where; ``problem`` is all of it.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "unreadable"))
        self.detail = str(problem.get("detail", "the answer is no problem document"))
        self.field: str | None = problem.get("field") or None
        where = f"{self.field}: " if self.field else ""
        super().__init__(f"{status} {self.code}: {where}{self.detail}")


class NotFound(ApiError):
    """404: it does not exist."""


class Conflict(ApiError):
    """409: the event's id was published before with another body, or the state forbids it."""


class TooLarge(ApiError):
    """413: the event, or the profile, is larger than the service takes."""


class Unprocessable(ApiError):
    """422: it is well-formed, and cannot be done."""


OF_STATUS: dict[int, type[ApiError]] = {
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Unprocessable,
}


def error_of(answer: httpx.Response) -> ApiError:
    """The error of an answer; a proxy's page in place of a problem document is read, too."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    problem: Mapping[str, Any] = found if isinstance(found, dict) else {}
    return OF_STATUS.get(answer.status_code, ApiError)(answer.status_code, problem)
