"""What all sends of a process share, and which of them are running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.channels import HttpCall, HttpReply
from orchestrator.core.message import Attempt, Message
from orchestrator.core.outcomes import NotSent, Outcome, Refused, Unknown
from orchestrator.dispatch.answers import AnswerRule
from orchestrator.dispatch.login import TIMEOUT_MS
from orchestrator.dispatch.outgoing import PublicUrls
from orchestrator.dispatch.provider import ActiveProvider, ProviderQueue
from orchestrator.dispatch.rates import FREE, Token
from orchestrator.engine.engine import Engine
from orchestrator.engine.failing import Failing
from orchestrator.primitives.waiting import set_within
from orchestrator.stores.rows import StepKey

OnAnswer = Callable[[ActiveProvider, AnswerRule, Outcome, float, str | None], None]
"""
Called after each call, with its row of the answer table, its duration in seconds and its trace id,
if it is traced.
"""


class SendTracing(Protocol):
    """Records what sends do; ``began_at`` is UTC milliseconds. Raises nothing."""

    def rendered(
        self,
        message: Message,
        event: Mapping[str, Any],
        channel: str,
        provider: str,
        began_at: int,
        seconds: float,
        problem: str = "",
    ) -> None: ...

    def called(
        self,
        message: Message,
        event: Mapping[str, Any],
        attempt: Attempt,
        outcome: Outcome,
        began_at: int,
        seconds: float,
    ) -> str | None:
        """Returns the trace id, None if this message is not traced."""


class Sender(Protocol):
    """Makes the HTTP request of an adapter."""

    async def call(
        self,
        call: HttpCall,
        *,
        timeout_ms: int,
        start_by: float,
        clock: Callable[[], float],
        token: Token,
    ) -> HttpReply | NotSent | Unknown | Refused: ...


class Running(Protocol):
    """A send from its start to its end."""

    @property
    def key(self) -> StepKey: ...
    @property
    def provider(self) -> ActiveProvider: ...
    @property
    def queue(self) -> ProviderQueue: ...
    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]: ...


class Sends:
    """The shared parts of all sends of a process, and the set of running sends."""

    def __init__(
        self,
        engine: Engine,
        sender_for: Callable[[ActiveProvider], Sender],
        urls: PublicUrls,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        entropy: Callable[[int], bytes],
        on_answer: OnAnswer,
        tracing: SendTracing | None = None,
    ) -> None:
        self.engine = engine
        self.sender_for = sender_for
        self.urls = urls
        self.now = now
        self.monotonic = monotonic
        self.entropy = entropy
        self.on_answer = on_answer
        self.tracing = tracing
        self.running: set[Running] = set()
        self.failing: Failing[StepKey] = Failing(monotonic)
        self.stopped = False
        self._ended = asyncio.Event()
        self._logging_in: set[asyncio.Task[None]] = set()

    def seconds(self) -> float:
        """UTC seconds."""
        return self.now() / 1000

    def log_in(self, provider: ActiveProvider) -> None:
        """Ask for a provider's access token before its first message needs it."""
        if provider.login is not None:
            task = asyncio.create_task(self._log_in(provider))
            self._logging_in.add(task)
            task.add_done_callback(self._logging_in.discard)

    async def _log_in(self, provider: ActiveProvider) -> None:
        await self.access_token(provider, self.monotonic() + TIMEOUT_MS / 1000)

    async def access_token(
        self, provider: ActiveProvider, start_by: float
    ) -> str | NotSent | Refused:
        """The access token of a provider that wants one (else ""), or why there is none."""
        if provider.login is None:
            return ""

        async def ask(call: HttpCall) -> HttpReply | NotSent | Unknown | Refused:
            return await self.sender_for(provider).call(
                call,
                timeout_ms=TIMEOUT_MS,
                start_by=self.monotonic() + TIMEOUT_MS / 1000,
                clock=self.seconds,
                token=FREE,
            )

        return await provider.login.token(ask, self.monotonic, self.seconds, start_by)

    def end(self, send: Running) -> None:
        """End a send, whatever its result: release its slot and let its row be claimed again."""
        if send not in self.running:
            return
        self.running.discard(send)
        send.provider.taken.discard(send.key)
        send.provider.release(1)
        send.queue.wake.set()
        if not self.running:
            self._ended.set()

    async def stop(self, within_seconds: float) -> None:
        """
        Let running sends finish, then cancel the calls that are left: each is recorded as unknown.
        A send that has not called by then does not call any more.
        """
        if self.running:
            self._ended.clear()
            await set_within(self._ended, within_seconds)
        self.stopped = True
        late = [task for send in self.running for task in send.tasks]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
