"""
The SMS count against a packer written from the standard alone, and shortening against the count.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.render.sms import count, shorten

PLAIN = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ÄÖÑÜ§¿äöñüà" + "".join(
    chr(code) for start in (65, 97) for code in range(start, start + 26)
)
ESCAPED = "\f^{}\\[~]|€"
OUTSIDE = "яїґ«»—…№`çω😀👩\u200d"
texts = st.text(st.sampled_from(PLAIN + ESCAPED), max_size=500) | st.text(
    st.sampled_from(PLAIN[:20] + ESCAPED + OUTSIDE), max_size=250
)


def packed(text: str) -> tuple[str, int, int]:
    """Fill part after part with whole characters: (alphabet, units, parts)."""
    gsm = all(character in PLAIN or character in ESCAPED for character in text)
    single, room = (160, 153) if gsm else (70, 67)
    sizes = [
        (2 if character in ESCAPED else 1) if gsm else len(character.encode("utf-16-be")) // 2
        for character in text
    ]
    if sum(sizes) <= single:
        return ("gsm7" if gsm else "ucs2"), sum(sizes), 1
    parts: list[list[int]] = [[]]
    for size in sizes:
        if sum(parts[-1]) + size > room:
            parts.append([])
        parts[-1].append(size)
    return ("gsm7" if gsm else "ucs2"), sum(sizes), len(parts)


@given(texts)
def test_the_count_equals_that_of_a_packer_written_from_the_standard(text: str) -> None:
    found = count(text)
    assert (found.alphabet, found.units, found.parts) == packed(text)


@pytest.mark.parametrize(
    ("text", "units", "parts"),
    [
        ("A" * 160, 160, 1),
        ("A" * 161, 161, 2),
        ("A" * 159 + "€", 161, 2),
        ("A" * 306, 306, 2),
        ("A" * 307, 307, 3),
        ("A" * 152 + "€" + "A" * 152, 306, 3),
        ("я" * 70, 70, 1),
        ("я" * 71, 71, 2),
        ("я" * 134, 134, 2),
        ("я" * 135, 135, 3),
        ("я" * 69 + "😀", 71, 2),
        ("я" * 66 + "😀" + "я" * 66, 134, 3),
    ],
)
def test_known_lengths_have_known_parts_and_no_pair_is_split(
    text: str, units: int, parts: int
) -> None:
    assert (count(text).units, count(text).parts) == (units, parts)


@pytest.mark.parametrize("character", OUTSIDE)
def test_one_character_outside_the_alphabet_turns_the_whole_text_into_16_bit_units(
    character: str,
) -> None:
    assert count("A" * 100).parts == 1
    assert count("A" * 100 + character).alphabet == "ucs2"
    assert count("A" * 100 + character).parts == 2


@given(texts, texts, st.integers(1, 3))
def test_a_shortened_text_fits_or_is_empty(before: str, text: str, parts: int) -> None:
    kept = shorten(before, text, "", parts)
    assert kept == "" or count(before + kept).parts <= parts


@given(texts, st.integers(1, 3))
def test_a_text_that_fits_is_not_touched(text: str, parts: int) -> None:
    if count(text).parts <= parts:
        assert shorten("", text, "", parts) == text


def test_a_text_is_cut_at_a_word_with_the_ellipsis_of_its_alphabet() -> None:
    latin = shorten("", "some words " * 40, "", 1)
    assert latin.endswith(("some...", "words...")) and count(latin).alphabet == "gsm7"
    cyrillic = shorten("", "слово " * 40, "", 1)
    assert cyrillic.endswith("слово…") and count(cyrillic).units > 60


def test_a_word_without_end_is_cut_inside_but_never_inside_an_emoji() -> None:
    kept = shorten("", "👩\u200d👩\u200d👧" * 20, "", 1).removesuffix("…")
    assert kept and kept.replace("👩\u200d👩\u200d👧", "") == ""
