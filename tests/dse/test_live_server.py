"""`dse.search --watch`: the page and its data while a search runs, asked for as a browser asks."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from synthetic_search import synthetic_search

from dse import ScoreSettings, SearchOptions, SearchResult, Space, Store
from dse import search as search_command
from dse.explore import search_loop
from dse.present.search_page.live_server import LiveServer


def get(server: LiveServer, path: str, host: str | None = None) -> tuple[int, str]:
    name = server.address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(name, timeout=30)
    connection.request("GET", path, headers={"Host": host or name})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_page_follows_a_search(tmp_path: Path) -> None:
    result = synthetic_search(10, nasty=False)
    with LiveServer(0, tmp_path / "report.html") as server:
        assert "starting" in get(server, "/")[1]
        server.observe(lambda: result)
        status, page = get(server, "/")
        assert status == 200
        assert "connect-src &#39;self&#39;" in page
        data = json.loads(get(server, "/data?since=none")[1])
        assert data["live"]
        assert data["folder"] == str(tmp_path / "report.html")
        assert len(data["designs"]) == 15
        assert get(server, f"/data?since={quote(data['version'])}") == (204, "")
        part = data["designs"][0]["parts"][0][1]
        assert json.loads(get(server, f"/drawing/{part}")[1])["kind"] == "array"
        larger = synthetic_search(14, nasty=False)
        server.observe(lambda: larger)
        newer = json.loads(get(server, f"/data?since={quote(data['version'])}")[1])
        assert len(newer["designs"]) == 19
        # What was sent before keeps its numbers.
        assert newer["lines"][: len(data["lines"])] == data["lines"]
        assert newer["parts"][: len(data["parts"])] == data["parts"]
        for path, wanted in (("/drawing/99999", 404), ("/drawing/x", 404), ("/etc/passwd", 404)):
            assert get(server, path)[0] == wanted
        # A page of another site, whose name was made to point here, gets nothing.
        assert get(server, "/data", host="evil.example")[0] == 403


def test_a_search_tells_what_it_has_found_so_far(tmp_path: Path) -> None:
    space = Space(
        name="two", topologies=("ripple_array",), ports=("psc", "scp"), half_adders=("cell",), formats=("e4m3",)
    )
    options = SearchOptions(
        space=space, objectives=("nmed", "delay"), settings=ScoreSettings(samples=500, cost_samples=16)
    )
    asked: list[Callable[[], SearchResult]] = []
    seen: list[SearchResult] = []

    def completed(*_: object) -> dict[str, object]:
        """Stands in for completing the front, which needs networks: all designs have been scored by then."""
        seen.append(asked[0]())
        return {}

    with Store(tmp_path / "store.sqlite") as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_loop._Search, "_completed", completed)
        search_loop.search(options, store, observe=lambda so_far: (asked.append(so_far), seen.append(so_far()))[0])
    before, after = seen
    assert not before.rows
    assert {row.design.digest for row in after.rows} == {row.design.digest for row in asked[0]().rows}
    assert len(after.rows) == 2
    assert after.front
    assert not after.references


def test_a_port_in_use_is_one_line_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert search_command.main(["--watch", str(port), "--out", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: port {port} of 127.0.0.1 must be free for --watch, but cannot be taken (")
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "run" / "store.sqlite").exists()
