"""Settings of every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# torch's threads wait for each other in loops: beside other load two are slower than one. Child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def _plain_width() -> Iterator[None]:
    """Tables are as wide as they are without a terminal, wherever the tests run; child processes inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield
