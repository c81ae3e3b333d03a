"""The inbox for browsers, as the service serves it."""

from __future__ import annotations

import gzip

import pytest

from orchestrator.api.assets import INBOX_MODULE, accepts_gzip
from tests.api.site import Site

PATH = "/static/kaskad-inbox.js"
BYTES_MAX = 12_000
SOURCE = INBOX_MODULE.read_text("utf-8")


async def test_any_shop_s_page_may_load_the_module_without_a_key(site: Site) -> None:
    answer = await site.client.get(PATH, headers={"Origin": "https://shop.example"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "max-age=" in answer.headers["Cache-Control"]


async def test_the_module_is_small_and_is_the_source_without_comments(site: Site) -> None:
    packed = await site.client.get(PATH, headers={"Accept-Encoding": "br, gzip"})
    plain = await site.client.get(PATH, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip" and packed.text == plain.text
    assert int(packed.headers["Content-Length"]) <= BYTES_MAX
    assert len(gzip.compress(plain.content, 9)) <= BYTES_MAX
    lines = [line.strip() for line in SOURCE.splitlines()]
    code = [line for line in lines if line and not line.startswith(("//", "/*", "* ", "*/"))]
    served = plain.text.splitlines()
    assert [line for line in served if not line.startswith("* {")] == [
        line for line in code if line != "*"
    ]


async def test_a_browser_that_has_the_module_does_not_load_it_again(site: Site) -> None:
    tags = set()
    for encoding in ("gzip", "identity"):
        first = await site.client.get(PATH, headers={"Accept-Encoding": encoding})
        known = {"Accept-Encoding": encoding, "If-None-Match": first.headers["ETag"]}
        again = await site.client.get(PATH, headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Vary"] == "Accept-Encoding"
        tags.add(first.headers["ETag"])
    assert len(tags) == 2, "each form has a tag of its own"
    other = await site.client.get(PATH, headers={"If-None-Match": '"older"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("gzip", True),
        ("br;q=1.0, GZIP;q=0.8", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, br", False),
        ("", False),
        ("x-gzipper", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(accept: str, packed: bool) -> None:
    assert accepts_gzip(accept) is packed


@pytest.mark.parametrize(
    "door",
    [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "srcdoc",
        "cssText",
        "createContextualFragment",
    ],
)
def test_nothing_in_the_module_turns_text_into_markup_or_code(door: str) -> None:
    assert door not in SOURCE
