"""`GET /docs` shows the OpenAPI document, and loads nothing from another host."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from orchestrator.api import assets
from tests.api.site import Site, open_site
from tests.verify.chromium import Chromium
from tests.verify.shop import axe_script

VIEWER = "static/openapi-explorer.js"
LOADED = re.compile(r'(?:src|href|spec-url)="([^"]+)"')
SHADOW = "document.querySelector('openapi-explorer').shadowRoot"


async def test_the_page_names_only_what_the_service_has_itself(site: Site) -> None:
    page = await site.client.get("/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "default-src 'none'" in policy
    assert {*LOADED.findall(page.text)} == {VIEWER, "openapi.json"}
    for path in (VIEWER, "openapi.json"):
        assert (await site.client.get(path)).status_code == 200


async def test_the_viewer_is_sent_compressed_and_once(site: Site) -> None:
    packed = await site.client.get(VIEWER, headers={"Accept-Encoding": "gzip"})
    plain = await site.client.get(VIEWER, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip" and packed.content == plain.content
    assert int(packed.headers["Content-Length"]) == assets.VIEWER.stat().st_size < 250_000
    again = await site.client.get(VIEWER, headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status_code in (200, 304)
    known = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
    assert (await site.client.get(VIEWER, headers=known)).status_code == 304


def test_the_viewer_is_the_release_that_is_named_and_has_its_licence() -> None:
    head = gzip.decompress(assets.VIEWER.read_bytes())[:200].decode()
    [version] = re.findall(r"OpenAPI Explorer ([\d.]+\d)", head)
    assert f"Explorer {version} " in (assets.__doc__ or "")
    licence = assets.VIEWER.with_name("openapi-explorer.LICENSE").read_text()
    assert "Apache License" in licence
    assert version in assets.VIEWER.with_name("openapi-explorer.NOTICE").read_text()


@pytest.mark.browser
@pytest.mark.verify
async def test_the_api_can_be_read_in_a_browser(tmp_path: Path) -> None:
    async with open_site() as site, Chromium(tmp_path / "profile") as browser:
        await browser.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source=(
                "window.faults = []; addEventListener('error', e => faults.push(e.message));"
                "document.addEventListener('securitypolicyviolation', e => faults.push("
                "e.violatedDirective + ' ' + e.blockedURI))"
            ),
        )
        await browser.open(str(site.client.base_url.join("/docs")), width=1280)
        await browser.until_true(f"{SHADOW}?.textContent.includes('Publish events') ?? false")
        await browser.run(
            f"[...{SHADOW}.querySelectorAll('*')].filter(one => one.children.length === 0"
            " && one.textContent.trim().startsWith('Publish events'))[0].click()"
        )
        await browser.until_true(f"{SHADOW}.textContent.includes('/v1/events')")
        assert await browser.run("faults") == []
        loaded = [one["request"]["url"] for one in browser.events["Network.requestWillBeSent"]]
        assert all(url.startswith((str(site.client.base_url), "data:")) for url in loaded)
        await browser.run(f"{axe_script()}; 1")
        found = await browser.run(
            "axe.run(document).then(r => r.violations.map(one => [one.id, one.impact]))"
        )
        assert [id for id, impact in found if impact == "critical"] == []
