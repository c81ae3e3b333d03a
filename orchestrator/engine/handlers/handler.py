"""The interface of a command's handler: its needs beside its decision."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from orchestrator.engine.batch import BatchContext
from orchestrator.engine.needs import Needs
from orchestrator.engine.unit_of_work import UnitOfWork

C = TypeVar("C")


class Handler(Generic[C]):
    """
    One per type of command. Whatever ``handle`` reads must be asked for by the other two: a key
    that was not asked for raises ``NotLoaded``.
    """

    def needs(self, needs: Needs, command: C) -> None:
        """Ask for the rows that the command names."""

    def needs_addresses(self, needs: Needs, command: C, work: UnitOfWork) -> None:
        """Ask for what follows from those rows: addresses, dedupe keys, early receipts."""

    def handle(self, context: BatchContext, command: C) -> Any:
        """
        Decide, and return the command's answer. ``LookupError`` and ``Conflict`` are answers,
        too; any other exception undoes the batch.
        """
        raise NotImplementedError
