"""Pytest plugin of `tests/support/mutation.py`: notes which functions each test calls, and runs chosen tests first.

With CALLS_FILE set, the file gets {test: [seconds, [[file, first line], ...]]} for the functions that the test calls in
this process. With FIRST_FILE set, the tests that the file lists come first, in its order; all others follow, since
calls in compiled code and in child processes are not seen.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

_calls: dict[str, tuple[float, list[tuple[str, int]]]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Notes the calls of one test with its fixtures."""
    if "CALLS_FILE" not in os.environ:
        return (yield)
    called = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            called.add(frame.f_code)

    began = time.monotonic()
    sys.setprofile(note)
    try:
        return (yield)
    finally:
        sys.setprofile(None)
        places = [(code.co_filename, code.co_firstlineno) for code in called]
        _calls[item.nodeid] = time.monotonic() - began, places


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the chosen tests first; the order is otherwise kept."""
    if "FIRST_FILE" in os.environ:
        first = json.loads(Path(os.environ["FIRST_FILE"]).read_text(encoding="utf-8"))
        places = {test: place for place, test in enumerate(first)}
        items.sort(key=lambda item: places.get(item.nodeid, len(places)))


def pytest_sessionfinish() -> None:
    """Writes the calls of all tests."""
    if "CALLS_FILE" in os.environ:
        Path(os.environ["CALLS_FILE"]).write_text(json.dumps(_calls), encoding="utf-8")
