"""Settings of every test."""

from __future__ import annotations

import os

import pytest

# torch's threads wait for each other in loops: beside other load two are slower than one. Child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _plain_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as they are without a terminal, wherever the tests run."""
    monkeypatch.delenv("COLUMNS", raising=False)
