"""Settings of every test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# torch's threads wait for each other in loops: beside other load two are slower than one. Child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without stored bytecode each of some hundred processes would compile every module it imports. Mutants do without: one
# may have the size of its source and be written in the same second, and Python would take the other's bytecode.
if "MUTANT" not in os.environ:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@pytest.fixture(autouse=True, scope="session")
def _plain_width() -> Iterator[None]:
    """Tables are as wide as they are without a terminal, wherever the tests run; child processes inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the user's cache folder: one for all processes of this run, so that each kernel is compiled once."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "shared_cache"
    folder.mkdir(exist_ok=True)
    return folder
