"""A real browser for tests: Chromium without a window, driven over a pipe, without network.

with Browser(folder) as browser:
    page = browser.open(path, width=390)
    page.value("document.title")
    page.console, page.requests
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path
from select import select
from time import monotonic
from typing import Any, Final, Self

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser reads from descriptor 3 and writes to 4, whatever ours are.
_LAUNCH: Final = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for number, end in zip((3, 4), ends):
    os.dup2(end, number)
    os.close(end)
os.execv(sys.argv[3], sys.argv[3:])
"""
_PATIENCE: Final = 60.0
"""Seconds to wait for an answer."""


class MissingError(RuntimeError):
    """There is no browser on this machine; the text says what to install."""


class Browser:
    """A running Chromium.

    Args:
        folder: for its profile; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        program = next((found for name in _NAMES if (found := shutil.which(name))), None)
        if program is None:
            raise MissingError("no browser is there (on Debian: apt-get install chromium)")
        ours, theirs = os.pipe(), os.pipe()
        command = [
            program,
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
        ]
        # Containers have neither a sandbox for root nor room in /dev/shm.
        command += ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]
        # Nobody is to be reached, not even by the browser for itself.
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"]
        command += ["--disable-component-update", "--disable-sync", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(ours[0]), str(theirs[1]), *command],
            pass_fds=(ours[0], theirs[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._to, self._from = ours[1], theirs[0]
        self._rest = b""
        self._last = 0
        self.events: deque[dict[str, Any]] = deque()

    def __enter__(self) -> Self:
        """Nothing to open: it runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> "Page":
        """Opens a file as on a screen of some width, in points of CSS."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, str(attached["sessionId"]))
        page.prepare(width=width, height=height, dark=dark)
        page.visit(path.resolve().as_uri())
        return page

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Asks the browser for something and returns its answer."""
        self._last += 1
        asked: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if session:
            asked["sessionId"] = session
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while True:
            told = self.receive()
            if told.get("id") == asked["id"]:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return dict(told["result"])
            self.events.append(told)

    def receive(self) -> dict[str, Any]:
        """Returns the next message."""
        until = monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select([self._from], [], [], max(0.0, until - monotonic()))
            chunk = os.read(self._from, 1 << 20) if ready else b""
            if not chunk:
                raise RuntimeError("the browser does not answer")
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


class Page:
    """An open page.

    Attributes:
        console: what it wrote there, and the errors that nobody caught.
        requests: addresses that it asked for, its own among them.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.console: list[str] = []
        self.requests: list[str] = []

    def prepare(self, *, width: int, height: int, dark: bool) -> None:
        """Sets the screen, and listens."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def visit(self, url: str) -> None:
        """Goes to an address and waits until all is there."""
        self.call("Page.navigate", url=url)
        while True:
            events = self._browser.events
            event = events.popleft() if events else self._browser.receive()
            self._note(event)
            if event.get("method") == "Page.loadEventFired":
                return

    def value(self, script: str) -> Any:
        """Returns what an expression comes to in the page."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        self._drain()
        return told["result"].get("value")

    def move(self, x: float, y: float) -> None:
        """Moves the pointer."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self._drain()

    def picture(self) -> bytes:
        """Returns the whole page as PNG."""
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(told["data"])

    def paper(self) -> bytes:
        """Returns the page as it is printed, as PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Asks something about this page."""
        return self._browser.call(method, self._session, **params)

    def _drain(self) -> None:
        while self._browser.events:
            self._note(self._browser.events.popleft())

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("sessionId") != self._session:
            return
        params = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                self.console.append(json.dumps(params)[:2_000])
