"""Texts of the configuration that secrets were filled into."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, SecretStr


class Filled(str):
    """
    A text in which references (``${env:NAME}``) were filled in. ``written`` is the text with the
    references; ``pieces`` are by turns what was written around them and what they stand for.

    Only settings that are declared as ``Any`` are given one; everything that is read as a text, a
    secret included, is an ordinary ``str``.
    """

    written: str
    pieces: tuple[str, ...]

    def __new__(cls, written: str, pieces: tuple[str, ...]) -> Self:
        made = super().__new__(cls, "".join(pieces))
        made.written, made.pieces = written, pieces
        return made

    def __repr__(self) -> str:
        return repr(self.written)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the references stand for."""
        return self.pieces[1::2]


def as_written(value: Any) -> Any:
    """A tree with its references as they were written."""
    if isinstance(value, Filled):
        return value.written
    if isinstance(value, dict):
        return {key: as_written(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_written(inner) for inner in value]
    return value


def secrets_in(value: Any) -> set[str]:
    """All secrets of some settings or of a tree, and all that the references in it stand for."""
    if isinstance(value, Filled):
        return set(value.secrets)
    if isinstance(value, SecretStr):
        return {value.get_secret_value()}
    if isinstance(value, BaseModel):
        value = [getattr(value, name) for name in type(value).model_fields]
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list | tuple):
        return set[str]().union(*map(secrets_in, inner))
    return set()
