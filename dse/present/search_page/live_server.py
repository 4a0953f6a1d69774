"""Serves the page of a search on this machine while the search runs, and newer data when the page asks.

The server runs in a thread of its own and computes only when it is asked, from a copy of what the search has found; it
never touches the store and never holds the search up. It ends with the search.

    /              the page, as report.html, but without drawings
    /data?since=V  204 where nothing is newer than version V, else the page's data
    /drawing/K     the drawing of multiplier K
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from circuits.drawing.design_drawing import drawing_of
from circuits.errors import DesignError
from dse.explore.search_result import SearchResult
from dse.explore.stored_runs import every_design
from dse.present.html_report import page_of
from dse.present.search_page.search_data import DesignTexts, cell_names, search_data

__all__ = ["LiveServer"]

_HOST = "127.0.0.1"
_STARTING = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>Starting</title>'
    "<p>The search is starting; this page follows.</p>"
)


class LiveServer:
    """A server of one search; a context manager. `folder`: where the search writes its results.

    `port`: 0 takes a free one. Raises ValueError where the port is in use.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self._folder = folder
        self._so_far: Callable[[], SearchResult] | None = None
        self._lock = Lock()
        self._texts = DesignTexts(lambda design: None)
        self._cells: list[str] = []
        try:
            self._server = ThreadingHTTPServer((_HOST, port), _handler_of(self))
        except OSError as error:
            raise ValueError(
                f"port {port} of {_HOST} must be free for --watch, but cannot be taken ({error.strerror}); give "
                "another port, or none."
            ) from None
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://{_HOST}:{self._server.server_port}/"

    @property
    def hosts(self) -> set[str]:
        """What a browser on this machine calls the server; requests by other names come from a foreign page."""
        return {f"{name}:{self._server.server_port}" for name in (_HOST, "localhost")}

    def observe(self, so_far: Callable[[], SearchResult]) -> None:
        """Shows what `so_far` gives from now on."""
        self._so_far = so_far

    def __enter__(self) -> LiveServer:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str, str]:
        """(status, type, text) for the path of a request."""
        parts = urlsplit(path)
        with self._lock:
            if self._so_far is None:
                return 200, "text/html", _STARTING
            if parts.path.startswith("/drawing/"):
                return self._drawing(parts.path.removeprefix("/drawing/"))
            result = self._so_far()
            version = f"{len(result.rows)} {len(result.beaten)} {len(result.ruled_out)} {len(result.failures)}"
            if parts.path == "/data" and parse_qs(parts.query).get("since") == [version]:
                return 204, "application/json", ""
            if parts.path not in ("/", "/data"):
                return 404, "text/plain", "there is no such page"
            self._cells = cell_names(every_design(result))
            more = {"live": True, "version": version, "folder": str(self._folder)}
            data = {**search_data(result, self._texts), **more}
            if parts.path == "/":
                return 200, "text/html", page_of(data, live=True)
            return 200, "application/json", json.dumps(data, allow_nan=False)

    def _drawing(self, name: str) -> tuple[int, str, str]:
        designs = list(self._texts.parts)
        if not name.isdecimal() or int(name) >= len(designs):
            return 404, "text/plain", "there is no such drawing"
        try:
            return 200, "application/json", drawing_of(designs[int(name)], self._cells).to_json()
        except DesignError as error:
            return 200, "application/json", json.dumps({"refused": str(error)})


def _handler_of(owner: LiveServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Host") not in owner.hosts:
                self.send_error(403)
                return
            status, kind, text = owner.answer(self.path)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if status != 204:
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Says nothing: standard error belongs to the search's progress."""

    return Handler
