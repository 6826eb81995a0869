"""The image page from a run as it is, over HTTP on this machine: nothing is written."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from relforge.reports.view.folder import facts_script
from relforge.reports.view.page import render
from relforge.reports.view.run_view import RunView

LOOPBACK = "127.0.0.1"
LARGE, SMALL = 1600, 144
"""Longer side of images and of those in the strip, pixels."""
_NAMES = (LOOPBACK, "localhost", "[::1]")
_SMALL_KEPT = 4000


class ViewServer:
    """Answers a browser on this machine.

    Args:
        view: what is shown.
        port: of 127.0.0.1; 0: any that is free.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, view: RunView, port: int = 0) -> None:
        self.page = page = render(view.head() | {"index": view.index(), "small": "small"}).encode(
            "utf-8", "replace"
        )
        reading = threading.Lock()  # one thread reads a chunk that several ask for

        def facts(number: int) -> bytes:
            with reading:
                return facts_script(number, view.scenes(number)).encode("utf-8", "replace")

        @lru_cache(_SMALL_KEPT)
        def small(place: int) -> tuple[bytes | None, str]:
            return view.encode(view.images[place], SMALL)

        def large(place: int) -> tuple[bytes | None, str]:
            return view.encode(view.images[place], LARGE)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # a name of another site that leads here would let that site read the data
                if re.sub(r":\d+$", "", self.headers.get("Host", "")) not in _NAMES:
                    return self._say(HTTPStatus.FORBIDDEN, b"ask by 127.0.0.1 or localhost")
                if self.path.partition("?")[0] in ("/", "/index.html"):
                    return self._say(HTTPStatus.OK, page, "text/html; charset=utf-8")
                kind, number = _read(self.path)
                if kind == "facts" and number < view.chunks:
                    return self._say(HTTPStatus.OK, facts(number), "text/javascript; charset=utf-8")
                if kind in ("images", "small") and number < len(view.images):
                    packed, reason = (large if kind == "images" else small)(number)
                    if packed is None:
                        return self._say(HTTPStatus.NOT_FOUND, reason.encode("utf-8", "replace"))
                    return self._say(HTTPStatus.OK, packed, "image/jpeg", keep=True)
                return self._say(HTTPStatus.NOT_FOUND, b"no such part of the page")

            def _say(
                self,
                status: HTTPStatus,
                body: bytes,
                kind: str = "text/plain; charset=utf-8",
                keep: bool = False,
            ) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Content-Type-Options", "nosniff")
                self.send_header("Cache-Control", "private, max-age=3600" if keep else "no-store")
                self.end_headers()
                try:
                    self.wfile.write(body)
                except ConnectionError:  # the browser has gone on to another image
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Nothing: requests are no news."""

        self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        self._server.daemon_threads = True
        self.address = f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def serve(self) -> None:
        """Answer until `close` is called from another thread, or an interrupt."""
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Stop answering; from another thread than `serve`."""
        self._server.shutdown()

    def release(self) -> None:
        """Free the port, once `serve` has ended."""
        self._server.server_close()


def _read(path: str) -> tuple[str, int]:
    """`/facts/3.js`, `/images/7.jpg` as name and number."""
    found = re.fullmatch(r"/(facts|images|small)/(\d{1,9})\.(js|jpg)", path.partition("?")[0])
    return (found[1], int(found[2])) if found else ("", 0)
