"""Signed tokens: their last character, and the marks that mail programs cut off or add."""

from __future__ import annotations

import base64

import pytest

from orchestrator.primitives.tokens import SigningKeys, tag

MESSAGE = "01KA" + "0" * 22
KEYS = SigningKeys([(1, b"k" * 32, 0)])
MADE = 3_000


def tokens(kind: str) -> list[str]:
    """Enough tokens that some would end in each of the 64 characters."""
    match kind:
        case "reference":
            return [KEYS.reference(MESSAGE, n) for n in range(MADE)]
        case "receipt_token":
            return [KEYS.receipt_token(MESSAGE, n) for n in range(MADE)]
        case "pixel":
            return [KEYS.pixel(MESSAGE, n) for n in range(MADE)]
        case "link":
            return [
                KEYS.link(MESSAGE, n, "https://shop.example/" + "a" * (n % 7)) for n in range(MADE)
            ]
    return [KEYS.unsubscribe(f"user-{n}", "email", "sale", MESSAGE) for n in range(MADE)]


@pytest.mark.parametrize("kind", ["reference", "receipt_token", "pixel", "link", "unsubscribe"])
def test_no_token_ends_in_a_mark_that_mail_programs_cut_off(kind: str) -> None:
    made = tokens(kind)
    assert not [token for token in made if not token[-1].isalnum()]
    assert kind not in ("link", "unsubscribe") or any(token[-2] in "-_" for token in made)
    read = getattr(KEYS, f"read_{kind}")
    assert all(read(token) is not None for token in made)
    assert max(len(token) for token in tokens("reference")) <= 64


def test_a_token_of_the_older_shape_still_verifies() -> None:
    older = []
    for n in range(MADE):
        payload = f"user-{n}\0email\0sale\0{MESSAGE}".encode()
        signed = b"\x01" + payload + tag(b"k" * 32, b"un", payload)
        token = base64.urlsafe_b64encode(signed).decode().rstrip("=")
        older += [token] if token[-1] in "-_" else []
        assert KEYS.read_unsubscribe(token) is not None
    assert older


@pytest.mark.parametrize(
    "tail", [".", ">", ")", "]", "».", ",", "...", " ", "\n", "=", "%3E", "&x=1"]
)
def test_what_stands_behind_a_token_is_left_out(tail: str) -> None:
    for token in tokens("reference")[:200]:
        assert KEYS.read_reference(token + tail) == KEYS.read_reference(token) is not None


@pytest.mark.parametrize("wrong", ["0", "00", "A", "-", "_", "0."])
def test_a_longer_token_of_its_own_alphabet_is_another_token(wrong: str) -> None:
    short = [token for token in tokens("unsubscribe") if len(token) % 4 == 2]
    assert short and all(KEYS.read_unsubscribe(token + wrong) is None for token in short)
