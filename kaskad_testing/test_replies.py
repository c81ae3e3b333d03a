"""Every adapter that speaks HTTP: what it takes answers for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pytest

from kaskad_testing.cases import each, http, of, runs
from kaskad_testing.checks import bare, check_outcome, expect, short
from kaskad_testing.examples import Examples, ReplyExample, reply
from kaskad_testing.hostile import HOSTILE_BODIES, JUNK_BODIES, leaves_replaced, mutations
from orchestrator import channels as ch

pytest_generate_tests = runs


PAUSES = [None, "7", "Wed, 21 Oct 2099 07:28:00 GMT"]
BY_STATUS = "leave answers whose body says nothing you know to ch.by_http_status(reply)"


def knows_the_body(examples: Examples) -> bool:
    """Adapters that read a good answer before they believe it."""
    return http(examples) and not examples.status_decides


@each("replies")
def test_a_wire_reply_means_what_the_table_says(examples: Examples, case: ReplyExample) -> None:
    outcome = examples.http().outcome(case.reply)
    same = type(outcome) is type(case.outcome) and bare(outcome) == bare(case.outcome)
    if not isinstance(case.outcome, ch.Accepted) and case.outcome.detail:
        same = same and outcome == case.outcome
    expect(
        same,
        f"{case.promise}: the answer means {short(outcome)}, not {short(case.outcome)}",
        "correct `outcome`, or the table if it is wrong about the provider",
    )
    check_outcome(outcome)


def allowed(status: int, retry_after: str | None) -> tuple[type, ...]:
    """The outcomes an unreadable answer may have, by its HTTP status alone."""
    if status == 429 or (status == 503 and retry_after):
        return (ch.NotSent,)
    if status < 400:
        return (ch.Refused,)
    if status == 408 or status >= 500:
        return (ch.Unknown,)
    return (ch.Refused, ch.Unknown)


def seen_by_status(status: int, body: bytes, outcome: ch.Outcome, but: str) -> str:
    return f"status {status} with the body {short(body[:40])} means {short(outcome)}{but}"


@of(http)
@pytest.mark.parametrize("retry_after", PAUSES, ids=["no pause", "7 s", "a date"])
def test_an_unreadable_answer_is_judged_by_its_status(
    examples: Examples, retry_after: str | None
) -> None:
    adapter = examples.http()
    headers = {"retry_after": retry_after} if retry_after else {}
    for status in range(300, 600):
        for body in JUNK_BODIES:
            outcome = adapter.outcome(reply(status, body, **headers))
            right = allowed(status, retry_after)
            names = " or ".join(one.__name__ for one in right)
            seen = partial(seen_by_status, status, body, outcome)
            expect(isinstance(outcome, right), partial(seen, f", not {names}"), BY_STATUS)
            check_outcome(outcome)
            if status < 400:
                moved = isinstance(outcome, ch.Refused) and (
                    outcome.reason is ch.Reason.REFUSED_RECIPIENT
                )
                expect(moved, partial(seen, ", not REFUSED_RECIPIENT"), BY_STATUS)
            if isinstance(outcome, ch.NotSent):
                pause = outcome.retry_after_ms
                heeded = {None: True, "7": pause == 7000}.get(retry_after, (pause or 0) > 10**9)
                expect(
                    heeded,
                    f"Retry-After: {retry_after} became a pause of {pause} ms",
                    "give reply.retry_after_ms to NotSent",
                )


@of(http)
def test_a_good_status_with_a_strange_body_may_have_been_sent(examples: Examples) -> None:
    adapter = examples.http()
    right = (ch.Unknown, ch.Accepted) if examples.status_decides else (ch.Unknown,)
    for status in (200, 201, 202, 204, 299):
        for body in (*JUNK_BODIES, *HOSTILE_BODIES):
            outcome = adapter.outcome(reply(status, body))
            check_outcome(outcome)
            expect(
                isinstance(outcome, right),
                partial(seen_by_status, status, body, outcome, ", but it may have been sent"),
                "say Accepted or Refused only of a body that you can read, and leave the rest to"
                " ch.by_http_status(reply), which says Unknown; if the provider documents that a"
                " good status alone means taken, say status_decides=True in the examples",
            )


def accepted(examples: Examples) -> Iterator[tuple[ch.HttpReply, ch.Accepted]]:
    """
    The replies that take a message; "already had it" is a refusal by its form, and bent it may well
    become one.
    """
    for case in examples.replies:
        if isinstance(case.outcome, ch.Accepted) and not case.outcome.duplicate:
            yield case.reply, case.outcome


@of(knows_the_body)
def test_an_accepted_reply_that_was_cut_or_bent_is_never_a_refusal(examples: Examples) -> None:
    adapter = examples.http()
    expect(
        list(accepted(examples)),
        "no example shows an answer that takes a message",
        "add a ReplyExample with Accepted",
    )
    for original, meant in accepted(examples):
        for end in range(len(original.body)):
            cut = original.body[:end]
            may_be_sent(cut, adapter.outcome(reply(original.status, cut)), None)
        for variant in mutations(original.json()) if original.json() is not None else ():
            outcome = adapter.outcome(reply(original.status, variant))
            check_outcome(outcome)
            may_be_sent(variant, outcome, meant.provider_id)


def may_be_sent(answer: object, outcome: ch.Outcome, id: str | None) -> None:
    """
    An accepting answer that was cut or bent is Unknown, or accepted with an id that still stands
    in it.
    """
    __tracebackhide__ = True
    if isinstance(outcome, ch.Unknown):
        return
    found = outcome.provider_id if isinstance(outcome, ch.Accepted) else None
    there = found is not None and (found == id or f'"{found}"' in json.dumps(answer))
    expect(
        there and id is not None,
        lambda: (
            f"an accepting answer that became {short(answer)} means {short(outcome)}, but it may"
            " have been sent"
        ),
        "say Accepted, Refused or NotSent only where all that you rely on is there",
    )


@of(http)
def test_no_bent_reply_crashes_an_adapter(examples: Examples) -> None:
    adapter = examples.http()
    for case in examples.replies:
        for variant in mutations(case.reply.json()):
            try:
                outcome = adapter.outcome(reply(case.reply.status, variant))
            except Exception as error:
                outcome = crashed(f"the answer {short(variant)}", error)
            check_outcome(outcome)


def crashed(what: str, error: Exception) -> ch.Unknown:
    """Fail with the crash in words."""
    __tracebackhide__ = True
    expect(
        False,
        f"{what} makes it raise {type(error).__name__}: {error}",
        "read with ch.member, ch.objects, ch.whole and ch.text_of, which never raise",
    )
    return ch.Unknown(ch.Reason.RESPONSE_UNREADABLE)


@of(http)
def test_a_secret_that_the_provider_repeats_is_masked(examples: Examples) -> None:
    adapter = examples.http()
    for case in examples.replies:
        for secret in examples.secrets:
            for variant in leaves_replaced(case.reply.json(), f"token {secret} is malformed"):
                outcome = adapter.outcome(reply(case.reply.status, variant))
                expect(
                    isinstance(outcome, ch.Accepted) or secret not in repr(outcome),
                    f"{case.promise}: a secret that the provider repeats stands in the"
                    f" {type(outcome).__name__}, and so in the history",
                    "read its words with ch.said(words, ch.secret_values(self.settings)), and its"
                    " codes with ch.code_of or from a table",
                )
