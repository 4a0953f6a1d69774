"""What tests of searches in other processes need: waiting for a condition, a store's size, whether a process runs."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def wait_for(condition: Callable[[], object], patience: float) -> None:
    """Returns as soon as the condition holds; fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {patience:g} s"
        time.sleep(0.02)


def stored_designs(folder: Path) -> int:
    """Designs in the store of a running search; 0 before there is one."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'store.sqlite'}?mode=ro", uri=True, timeout=10)) as connection:
            return int(connection.execute("SELECT count(*) FROM designs").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def is_running(process: int) -> bool:
    """Whether the process of this number runs: it is neither gone nor a zombie."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
