"""A mailbox has one form in which it is mailed, and one identity however it is spelt."""

from __future__ import annotations

import pytest

from orchestrator.channels.address_kinds import EMAIL, PHONE, Misshapen
from orchestrator.channels.mailboxes import ascii_domain, mailbox_identity, normal_email
from orchestrator.channels.registry import identities
from orchestrator.primitives.tokens import AddressHasher

FORMS = {
    "olena@example.com": "olena@example.com",
    "Olena@Example.COM": "Olena@example.com",
    "olena@straße.example": "olena@xn--strae-oqa.example",
    "olena@STRASSE.example": "olena@strasse.example",
    "ivan@магазин.example": "ivan@xn--80aairftm.example",
    "ivan@МАГАЗИН.EXAMPLE": "ivan@xn--80aairftm.example",
    "ivan@XN--80AAIRFTM.Example": "ivan@xn--80aairftm.example",
    "a@βόλος.com": "a@xn--nxasmm1c.com",
    "a@نامه‌ای.com": "a@xn--mgba3gch31f060k.com",  # its zero-width non-joiner belongs to it
    "a@пример。example": "a@xn--e1afmkfd.example",  # an ideographic full stop
    "a@ＥＸＡＭＰＬＥ.com": "a@example.com",
    "a@пошта.укр": "a@xn--80a1acn3a.xn--j1amh",
    "a@example.com.": "a@example.com",
    '"olena"@example.com': "olena@example.com",
    "олена@example.com": "олена@example.com",
    "o'neil+shop=1@example.com": "o'neil+shop=1@example.com",
    "e\u0301va@example.com": "\u00e9va@example.com",
    "\u2068olena@example.com\u2069": "olena@example.com",
    "\u00a0\u200b\ufeffolena@example.com\u200e\t\r\n ": "olena@example.com",
}
NO_MAILBOXES = (
    *("", "@", "olena", "olena@", "@example.com", "olena@example", "olena@localhost"),
    *("olena@☕.us", "olena@i❤️.ws", "olena@xn--a.com", "olena@xn--.com", "olena@xn--zzzzzz99.com"),
    *("olena@-shop.com", "olena@shop-.com", "olena@sh_op.com", "olena@shop..com", "olena@.com"),
    *('"olena k"@example.com', "olena(work)@example.com", "olena@[192.0.2.1]", "olena@192.0.2.1"),
    *("o@lena@example.com", "ole na@example.com", "olena@exam ple.com", "olena@example.com.."),
    *("ole\u200bna@example.com", "olena@example.com\x00", "Olena <olena@example.com>"),
    "o" * 65 + "@example.com",
    "я" * 33 + "@example.com",
    "olena@" + "a" * 64 + ".com",
    "olena@" + "я" * 63 + ".com",
    "olena@" + ".".join(["a" * 61] * 4) + ".com",
    "olena@" + "a" * 5_000 + ".com",
)
ONE_PERSON = (
    ("ivan@магазин.example", "ivan@xn--80aairftm.example", "IVAN@Магазин.Example"),
    ("Olena@Example.com", "olena@example.com", " olena@EXAMPLE.com\u200f", '"olena"@example.com'),
    ("ОЛЕНА@example.com", "олена@example.com"),
    ("ΝΊΚΟΣ@example.com", "νίκος@example.com", "Νίκος@example.com"),
    ("ΣΑΣ.ΝΊΚΟΣ.Α@example.com", "σας.νίκος.α@example.com"),
    ("STRAẞE@example.com", "straße@example.com"),
    ("\u00c9va@example.com", "e\u0301va@example.com"),
)
STRANGERS = (
    ("straße@example.com", "strasse@example.com"),
    ("a@straße.example", "a@strasse.example"),
    ("ılgaz@example.com", "ilgaz@example.com"),
    ("İlgaz@example.com", "ilgaz@example.com"),
    ("ſam@example.com", "sam@example.com"),
    ("ﬁona@example.com", "fiona@example.com"),
    ("о@example.com", "o@example.com"),  # a Cyrillic letter, and a Latin one
    ("olena.k@example.com", "olenak@example.com"),
    ("olena+shop@example.com", "olena@example.com"),
    ("a@σς.com", "a@σσ.com"),
)


@pytest.mark.parametrize(("written", "form"), FORMS.items(), ids=ascii)
def test_a_mailbox_is_mailed_at_its_idna_2008_domain(written: str, form: str) -> None:
    assert normal_email(written) == form
    assert normal_email(form) == form
    assert EMAIL.read(written, "email") == form


@pytest.mark.parametrize("written", NO_MAILBOXES, ids=lambda text: ascii(text)[:40])
def test_what_is_no_mailbox_is_refused_and_still_has_an_identity(written: str) -> None:
    assert normal_email(written) is None
    assert mailbox_identity(written) == mailbox_identity(mailbox_identity(written))
    with pytest.raises(Misshapen, match="not a mail address"):
        EMAIL.read(written, "email")


@pytest.mark.parametrize("spellings", ONE_PERSON, ids=ascii)
def test_all_spellings_of_a_mailbox_are_one_person(spellings: tuple[str, ...]) -> None:
    address_hash = AddressHasher(b"p" * 32, identities())
    assert len({mailbox_identity(one) for one in spellings}) == 1
    assert len({address_hash("email", one) for one in spellings}) == 1


@pytest.mark.parametrize("spellings", STRANGERS, ids=ascii)
def test_two_people_never_become_one(spellings: tuple[str, str]) -> None:
    address_hash = AddressHasher(b"p" * 32, identities())
    assert len({address_hash("email", one) for one in spellings}) == 2


@pytest.mark.parametrize("domain", ["a..b", "-a.com", "", "a b.com", "xn--☕.com"], ids=ascii)
def test_a_domain_that_dns_cannot_have_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="after @"):
        ascii_domain(domain)


@pytest.mark.parametrize(
    "written",
    [
        "\u202a+380501234567\u202c",
        "\u200e+380501234567",
        "+380\u00a050\u202f123\u200945\u200b67",
        "\ufeff+38050\u2060123\u00ad4567\u3000",
        "\t+380 (50) 123-45-67\r\n",
        "＋380501234567",
        "+٣٨٠٥٠١٢٣٤٥٦٧",
        "\u2066" * 100 + "+380501234567" + "\u2069" * 100,
    ],
    ids=ascii,
)
def test_what_nobody_sees_leaves_a_phone(written: str) -> None:
    assert PHONE.read(written, "phone") == "+380501234567"
