"""A real browser, spoken to over its own protocol (Chrome DevTools Protocol)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
ADDRESS = re.compile(rb"ws://[^\s]+")
ANSWER_SECONDS = 20


def find_chromium() -> str | None:
    return (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Tab:
    """One page of a browser."""

    def __init__(self, browser: Chromium) -> None:
        self._browser = browser
        self.session = ""
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)

    async def attach(self, target: str) -> None:
        attached = await self.call(
            "Target.attachToTarget", session=None, targetId=target, flatten=True
        )
        self.session = attached["sessionId"]
        self._browser.tabs[self.session] = self
        for domain in ("Page", "Runtime", "Network"):
            await self.call(f"{domain}.enable")

    async def call(self, method: str, session: str | None = "", **params: Any) -> Any:
        """One command of the protocol; to the page unless ``session`` is None."""
        chosen = self.session if session == "" else session
        return await self._browser.send(method, chosen, params)

    async def open(
        self, url: str, language: str = "uk", width: int = 390, height: int = 844
    ) -> None:
        """Load a page, in a browser of this language; at first on a screen as wide as a phone's."""
        await self.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
        metrics: dict[str, Any] = {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": width < 500,
        }
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.events["Page.loadEventFired"].clear()
        await self.call("Page.navigate", url=url)
        await self.until(lambda: bool(self.events["Page.loadEventFired"]))

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        found = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, condition: Any, seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  the browser tells by a list of events
                await asyncio.sleep(0.05)

    async def until_true(self, script: str, seconds: float = 15) -> None:
        """Wait until an expression in the page is true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.run(script):  # noqa: ASYNC110  it can only be asked
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"it never became true: {script}") from None

    async def until_text(self, text: str, seconds: float = 15) -> None:
        """Wait until a text stands on the page; between two pages there is none."""
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(AssertionError):  # the page is just being replaced
                    if text in (
                        await self.run("document.body ? document.body.innerText : ''") or ""
                    ):
                        return
                await asyncio.sleep(0.1)

    async def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let go of it; ``code`` is its Windows virtual key code."""
        key_of: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **key_of)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **key_of)

    async def screenshot(self) -> bytes:
        """What is on the screen, as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


class Chromium(Tab):
    """One browser, and its first page. ``profile`` is an empty folder of its own."""

    def __init__(self, profile: Path) -> None:
        super().__init__(self)
        self._profile = profile
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.tabs: dict[str, Tab] = {}
        self._opened: list[str] = []

    async def __aenter__(self) -> Chromium:
        program = find_chromium()
        assert program is not None, "Chromium is not installed: apt-get install chromium"
        command = [program, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = start(command)
        address = await asyncio.wait_for(asyncio.to_thread(self._address), 30)
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(address, max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        targets = await self.call("Target.getTargets", session=None)
        page = next(target for target in targets["targetInfos"] if target["type"] == "page")
        await self.attach(page["targetId"])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        await self._http.close()
        self._process.kill()
        self._process.wait()

    def _address(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := ADDRESS.search(line):
                return found[0].decode()
        raise AssertionError("Chromium ended before it was ready")

    async def _read(self) -> None:
        async for frame in self._socket:
            found = json.loads(frame.data)
            if "id" in found:
                self._answers.pop(found["id"]).set_result(found)
            else:
                tab = self.tabs.get(found.get("sessionId", ""), self)
                tab.events[found["method"]].append(found["params"])

    async def tab(self) -> Tab:
        """One more page; it shares cookies and storage with the others, and none is in the back."""
        made = await self.call("Target.createTarget", session=None, url="about:blank")
        tab = Tab(self)
        await tab.attach(made["targetId"])
        self._opened.append(made["targetId"])
        for one in (self, tab):
            await one.call("Emulation.setFocusEmulationEnabled", enabled=True)
        return tab

    async def close_tabs(self) -> None:
        """Close every page but the first, which becomes an empty one."""
        for target in self._opened:
            await self.call("Target.closeTarget", session=None, targetId=target)
        self._opened.clear()
        await self.open("about:blank")

    async def send(self, method: str, session: str | None, params: dict[str, Any]) -> Any:
        """One command of the protocol, to the browser if there is no session."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self._answers[number] = asyncio.get_running_loop().create_future()
        waiting = self._answers[number]
        await self._socket.send_str(json.dumps(message))
        answer = await asyncio.wait_for(waiting, ANSWER_SECONDS)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]
