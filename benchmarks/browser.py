"""A page in headless Chromium, driven over the DevTools protocol on a pipe: sizes, clicks, screenshots."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from types import TracebackType
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find_browser() -> str | None:
    """The path of a Chromium, or None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page; a context manager.

    Args:
        width, height: of the window, pixels.

    Raises:
        FileNotFoundError: there is no Chromium here.
    """

    def __init__(self, width: int = 1300, height: int = 800) -> None:
        path = find_browser()
        if path is None:
            raise FileNotFoundError("no Chromium here: apt-get install chromium")
        self._profile = tempfile.TemporaryDirectory(prefix="relforge-browser-", ignore_cleanup_errors=True)
        theirs, self._write = (_high(one) for one in os.pipe())
        self._read, back = (_high(one) for one in os.pipe())

        def attach() -> None:  # it reads commands at 3 and answers at 4
            os.dup2(theirs, 3)
            os.dup2(back, 4)

        self._process = subprocess.Popen(
            [path, *_FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"],
            preexec_fn=attach,
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(back)
        self._calls, self._buffer, self._session = 0, b"", ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Performance.enable", timeDomain="threadTicks")
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._write)  # it ends with its pipe
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> Any:
        """One command and its answer.

        Raises:
            RuntimeError: the browser refuses it, or has ended.
        """
        self._calls += 1
        message: dict[str, Any] = {"id": self._calls, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._calls:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        """The window's size in CSS pixels; a phone's where `mobile`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def open(self, address: str) -> None:
        """Go to a URL and wait until it has loaded."""
        self.call("Page.navigate", url="about:blank")  # so that another fragment is another page
        self.call("Page.navigate", url=address)
        self.wait("location.href != 'about:blank' && document.readyState == 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise.

        Raises:
            RuntimeError: it throws.
        """
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(
                f"{script}: {done['exceptionDetails'].get('exception', {}).get('description')}"
            )
        return done["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Until an expression is true.

        Raises:
            RuntimeError: it is not, in that time.
        """
        script = f"""new Promise((yes, no) => {{ const end = performance.now() + {1000 * seconds};
            (function look() {{ let it = false; try {{ it = {condition}; }} catch {{ }}
                it ? yes(true) : performance.now() > end ? yes(false) : setTimeout(look, 5); }})(); }})"""
        if not self.run(script):
            raise RuntimeError(f"not so after {seconds:g} s: {condition}")

    def press(self, key: str) -> None:
        """A key, where the focus is."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """`mousePressed`, `mouseMoved`, `mouseReleased` or `mouseWheel` at a place of the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def cpu_seconds(self) -> float:
        """That the page's main thread has computed since the page was opened."""
        found = self.call("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


def _high(number: int) -> int:
    """The same file under a number that is not 3 or 4."""
    copy = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(number)
    return copy
