"""Every adapter with webhooks: whose they are, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kaskad_testing.cases import body_signed, each, http, of, runs, signed
from kaskad_testing.checks import bare, check_said, expect, short, states_of
from kaskad_testing.examples import Examples, HookExample, changed
from kaskad_testing.hostile import hostile_hooks
from kaskad_testing.test_replies import crashed
from orchestrator import channels as ch
from orchestrator.channels.registry import channels
from orchestrator.core.status import FAILURES, WAITABLE

pytest_generate_tests = runs


DAY_SECONDS = 86_400
BAD_PROOFS = (None, "", " ", "\udcff\ud800", "ї" * 20, "x" * 8000)
FIX_PROOF = (
    "compute the proof over all that the provider signs and compare it with ch.matches; raise"
    " ch.Forged for everything else"
)


def items_of(examples: Examples, hook: ch.Webhook) -> list[ch.Report]:
    return list(examples.built.receipts(hook))


def forged(examples: Examples, hook: ch.Webhook) -> bool:
    """Whether ``verify`` refuses a webhook, and keeps its secrets to itself while it does."""
    try:
        examples.built.verify(hook)
    except ch.Forged as refused:
        expect(
            not [secret for secret in examples.secrets if secret in str(refused)],
            "a secret stands in the words of Forged",
            "say what does not fit, never what would have",
        )
        return True
    except Exception as error:
        crashed(f"the webhook {short(hook.body[:100])}", error)
    return False


def refuses(examples: Examples, hook: ch.Webhook, what: str, fix: str = FIX_PROOF) -> None:
    __tracebackhide__ = True
    expect(forged(examples, hook), f"{what} was taken for the provider's", fix)


def from_devices(examples: Examples) -> bool:
    """Adapters whose receipts come from devices: the signed token in them is read elsewhere."""
    channel = channels().get(examples.built.supports.channel)
    return channel is not None and channel.receipts_from == "device"


def replays(examples: Examples) -> bool:
    """Adapters whose provider signs the time."""
    return examples.replay_seconds is not None


def rotates(examples: Examples) -> bool:
    """Adapters with a list of secrets."""
    return examples.rotates is not None


def echoes(examples: Examples) -> bool:
    """Adapters whose receipts carry our reference."""
    return http(examples) and examples.built.supports.echo


@each("hooks")
def test_a_webhook_says_what_the_table_says(examples: Examples, case: HookExample) -> None:
    hook = examples.signed(case.hook)
    if examples.sign is None and not from_devices(examples):
        refuses(
            examples,
            hook,
            "an unsigned webhook",
            "let `verify` raise ch.Forged, as ch.Adapter does; the operator who trusts the network"
            " sets allow_unsigned",
        )
    else:
        expect(
            not forged(examples, hook),
            f"{case.promise}: a webhook that is signed as the examples sign it was refused",
            "correct `verify`, or `sign` of the examples",
        )
    said = items_of(examples, hook)
    expect(
        [bare(item) for item in said] == [bare(item) for item in case.says],
        f"{case.promise}: the webhook says {short(said)}, not {short(list(case.says))}",
        "correct `receipts`, or the table if it is wrong about the provider",
    )
    for item, expected in zip(said, case.says, strict=True):
        check_said(item)
        if isinstance(expected, ch.Receipt) and expected.detail:
            expect(
                isinstance(item, ch.Receipt) and item.detail == expected.detail,
                f"{case.promise}: the detail is not {short(expected.detail)}",
                "correct `receipts`, or the table",
            )
    expect(
        examples.built.answer(hook).status == 200,
        f"{case.promise}: the webhook is not answered with 200",
        "give ch.Answer(200)",
    )


@each("hooks")
def test_a_webhook_that_comes_twice_says_the_same(examples: Examples, case: HookExample) -> None:
    hook, adapter = examples.signed(case.hook), examples.built
    for _ in range(2):
        said = [bare(item) for item in adapter.receipts(hook)]
        expect(
            said == [bare(item) for item in case.says],
            f"{case.promise}: the same webhook says {short(said)} when it comes again",
            "keep nothing between two webhooks: repeats are harmless, and merged later",
        )


@each("hooks", replays)
def test_an_old_webhook_that_is_sent_again_is_refused(
    examples: Examples, case: HookExample
) -> None:
    hook = examples.signed(case.hook)
    if hook.method == "POST":
        late = replace(hook, now=hook.now + (examples.replay_seconds or 0) + DAY_SECONDS)
        refuses(
            examples,
            late,
            f"{case.promise}: a webhook that was replayed a day later",
            "compare the time that is signed with hook.now",
        )


def flips(body: bytes) -> Iterator[bytes]:
    """The body with one bit of one byte turned over."""
    for place in range(0, len(body), max(1, len(body) // 200)):
        yield body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


@each("hooks", body_signed)
def test_a_signed_webhook_with_one_bit_changed_is_forged(
    examples: Examples, case: HookExample
) -> None:
    hook = examples.signed(case.hook)
    for body in flips(hook.body) if hook.method == "POST" else ():
        refuses(examples, changed(hook, body), f"{case.promise}: a body with one bit changed")


@each("hooks", body_signed)
def test_a_signature_does_not_vouch_for_another_body(examples: Examples, case: HookExample) -> None:
    hook = examples.signed(case.hook)
    if hook.method != "POST":
        return
    others = [other.hook.body for other in examples.hooks if other.hook.body != hook.body]
    expect(others, "there is only one example of a webhook", "add a second one")
    for body in (*others, b"", b"{}", hook.body * 2):
        refuses(
            examples, changed(hook, body), f"{case.promise}: another body with the same signature"
        )


@each("hooks", signed)
def test_a_webhook_without_the_right_proof_is_forged(examples: Examples, case: HookExample) -> None:
    other = examples.signed(case.hook, "not the secret")
    refuses(examples, other, f"{case.promise}: a webhook signed with another secret")
    refuses(examples, case.hook, f"{case.promise}: a webhook without a proof")
    hook = examples.signed(case.hook)
    if hook.method != "POST" or not examples.proof:
        return
    proof = hook.headers[examples.proof]
    for given in (*BAD_PROOFS, proof[:-1], proof + "0", proof.upper() + "x"):
        bad = changed(hook, hook.body, **{examples.proof: given})
        refuses(examples, bad, f"{case.promise}: a webhook with {examples.proof}: {short(given)}")


@of(lambda one: bool(one.forged))
def test_the_forgeries_an_adapter_knows_of_are_refused(examples: Examples) -> None:
    for hook in examples.forged:
        refuses(examples, hook, f"the forgery {short(hook.body)} of the examples")


@of(rotates)
def test_a_webhook_signed_with_either_secret_is_taken_while_they_rotate(examples: Examples) -> None:
    assert examples.rotates is not None
    adapter = examples.build(**{examples.rotates: [examples.next_secret, examples.secret]})
    for case in examples.hooks:
        if case.hook.method != "POST":
            continue
        for secret in (examples.secret, examples.next_secret, "the last secret but one"):
            try:
                adapter.verify(examples.signed(case.hook, secret))
                taken = True
            except ch.Forged:
                taken = False
            expect(
                taken == (secret != "the last secret but one"),
                f"{case.promise}: of two secrets, the webhook signed with {secret!r} was"
                f" {'taken' if taken else 'refused'}",
                "verify with each of ch.secrets_of(…), and with no other",
            )


@of(lambda one: bool(one.hooks))
def test_no_webhook_crashes_an_adapter(examples: Examples) -> None:
    adapter = examples.built
    for case in examples.hooks:
        for hook in hostile_hooks(case.hook):
            forged(examples, hook)
            try:
                said = list(adapter.receipts(hook))
            except ch.Forged:
                continue
            except Exception as error:
                crashed(f"the webhook {short(hook.body[:100])}", error)
            for item in said:
                check_said(item)
            expect(
                adapter.answer(hook).status in (200, 403),
                f"the webhook {short(hook.body[:100])} is answered with another status than 200",
                "give ch.Answer(200): what is not understood would be sent again without end",
            )


@of(lambda one: bool(one.hooks))
def test_capabilities_promise_exactly_the_states_that_webhooks_report(examples: Examples) -> None:
    supports = examples.built.supports
    said = [item for case in examples.hooks for item in case.says]
    reported = {state for item in said for state in states_of(item)} & set(WAITABLE)
    reported |= examples.elsewhere
    expect(
        reported == supports.receipts,
        f"it promises the states {short(sorted(supports.receipts))}, and the webhooks of the"
        f" examples report {short(sorted(reported))}",
        "correct `receipts` of its Capabilities, or add examples",
    )
    fails = any(isinstance(item, ch.Receipt) and item.state in FAILURES for item in said)
    expect(
        fails == supports.failure_receipts,
        f"failure_receipts is {supports.failure_receipts}, but the examples show "
        + ("failures" if fails else "none"),
        "correct it, or add an example",
    )


@of(echoes)
def test_the_reference_that_was_sent_comes_back_in_the_receipt(examples: Examples) -> None:
    expect(
        examples.receipt_of is not None and examples.requests,
        "it says `echo`, but no example shows how the reference comes back",
        "give receipt_of=… and a request to the examples, or take `echo` away",
    )
    assert examples.receipt_of is not None
    for case in examples.requests:
        hook = examples.signed(examples.receipt_of(examples.http().request(case.message)))
        expect(
            examples.sign is None or not forged(examples, hook),
            f"{case.promise}: the receipt of its request is refused",
            "correct `verify`, or `sign` and `receipt_of` of the examples",
        )
        references = [
            item.client_reference
            for item in items_of(examples, hook)
            if isinstance(item, ch.Receipt)
        ]
        expect(
            references == [case.message.client_reference],
            f"{case.promise}: our reference came back as {short(references)}",
            "send message.client_reference where the provider echoes it, and read it there",
        )
