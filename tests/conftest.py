"""Settings and fixtures that all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# torch's threads busy-wait for each other: on a loaded machine two are slower than one. Child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Without stored bytecode each of some hundred processes would compile every module it imports. Mutants do without it: a
# mutant may be as long as its source and written in the same second, and Python would then run the source's bytecode.
if "MUTANT" not in os.environ:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@pytest.fixture(autouse=True, scope="session")
def _plain_width() -> Iterator[None]:
    """Tables get the width they have without a terminal, wherever the tests run; child processes inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in place of the user's, shared by all processes of this run: each kernel is compiled once."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "shared_cache"
    folder.mkdir(exist_ok=True)
    return folder
