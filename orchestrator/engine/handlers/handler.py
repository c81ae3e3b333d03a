"""The interface of a command's handler: its needs beside its decision."""

from __future__ import annotations

from collections.abc import Generator
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

    def ask_in_parts(
        self, needs: Needs, command: C, work: UnitOfWork
    ) -> Generator[None, None, None]:
        """``needs_addresses``, in parts where it may take long: the loop may run after each."""
        self.needs_addresses(needs, command, work)
        yield

    def handle_in_parts(self, context: BatchContext, command: C) -> Generator[None, None, Any]:
        """``handle``, in parts where it may take long: the loop may run after each."""
        answer = self.handle(context, command)
        yield
        return answer
