"""A web address is percent-encoded once, and one that nobody could follow is refused."""

from __future__ import annotations

import pytest

from orchestrator.primitives.web_urls import URL_LENGTH_MAX, encoded

SHOP = "https://shop.example"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"{SHOP}/price list.pdf", f"{SHOP}/price%20list.pdf"),
        (f" {SHOP}/a\r\n", f"{SHOP}/a"),
        (f"{SHOP}/a\nb\tc", f"{SHOP}/a%0Ab%09c"),
        (f"{SHOP}/%D0%BF%20x?a=b%20c", f"{SHOP}/%D0%BF%20x?a=b%20c"),
        (f"{SHOP}/100%", f"{SHOP}/100%25"),
        (f"{SHOP}/%zz%4", f"{SHOP}/%25zz%254"),
        (f"{SHOP}/шлях?q=ґ#ї", f"{SHOP}/%D1%88%D0%BB%D1%8F%D1%85?q=%D2%91#%D1%97"),
        ("https://магазин.example/", "https://xn--80aairftm.example/"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://shop。example/", f"{SHOP}/"),
        ("https://xn--80aairftm.example/", "https://xn--80aairftm.example/"),
        (f"{SHOP}/?a[]=1&b={{x}}", f"{SHOP}/?a%5B%5D=1&b=%7Bx%7D"),
        (f"{SHOP}/\"'<>`|^\\", f"{SHOP}/%22'%3C%3E%60%7C%5E%5C"),
        (f"{SHOP}/?s=!$&'()*+,;=:@/?", f"{SHOP}/?s=!$&'()*+,;=:@/?"),
        (f"{SHOP}/#a#b", f"{SHOP}/#a%23b"),
        (f"{SHOP}?x=1", f"{SHOP}?x=1"),
        ("HTTPS://Shop.Example:8443/A", "https://Shop.Example:8443/A"),
        ("https://user:pa ss@shop.example/", "https://user:pa%20ss@shop.example/"),
        ("https://[::1]:8080/x", "https://[::1]:8080/x"),
        ("http://localhost:8080", "http://localhost:8080"),
        (f"{SHOP}/\u2028😀", f"{SHOP}/%E2%80%A8%F0%9F%98%80"),
    ],
)
def test_a_url_goes_over_the_wire_in_ascii_and_stays_as_it_is_from_then_on(
    url: str, sent: str
) -> None:
    assert encoded(url) == sent
    assert encoded(sent) == sent


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example/x",
        "//shop.example/x",
        "javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "ftp://shop.example/",
        "mailto:a@shop.example",
        "tel:+380671000001",
        "https:///x",
        "https://",
        "https:/shop.example/x",
        "https://a b/",
        "https://a..b/",
        "https://-a.example/",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://shop.example\\@evil.example/",
        "https://shop.example%2f.evil.example/",
        "https://😀.example/",
        f"https://{'a' * 64}.example/",
        "https://[::1/",
        "https://shop.example\n.evil.example/",
        f"{SHOP}/\ud800",
        f"{SHOP}/{'a' * URL_LENGTH_MAX}",
        f"{SHOP}/{'я' * (URL_LENGTH_MAX // 4)}",
    ],
)
def test_a_url_that_nobody_could_follow_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^it|^its"):
        encoded(url)
