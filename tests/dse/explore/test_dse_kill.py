"""A real search killed (kill -9) at random moments: only designs in flight are lost, and no stored row is ever wrong.

DSE_KILLS=50 python -m pytest tests/dse/explore/test_dse_kill.py kills fifty times instead of four.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from dse import Store

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("DSE_KILLS", "4"))
SPACE = """
[space]
ports = ["psc", "scp", "csp"]
bands = [0, 24, 36]
cells = ["exact", "ama4", "ama5"]
half_adders = ["cell"]
"""
Key = tuple[str, str, int, str]


def start(folder: Path, space: Path, seed: int) -> subprocess.Popen[bytes]:
    options = ["--space", str(space), "--objectives", "delay,nmed", "--population", "8", "--seed", str(seed)]
    options += ["--budget", "24", "--images", "10", "--attack-images", "2", "--constraint", "energy<=4000"]
    return subprocess.Popen(
        [sys.executable, "-m", "dse.search", *options, "--workers", "2", "--out", str(folder)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def rows(folder: Path) -> dict[Key, str]:
    """Every stored score, read as another process would while the search runs."""
    path = folder / "store.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        entries = connection.execute("SELECT digest, scorer, version, settings, scores FROM scores").fetchall()
    return {(digest, scorer, version, settings): scores for digest, scorer, version, settings, scores in entries}


@pytest.mark.slow
def test_a_search_killed_again_and_again_ends_like_one_that_was_not(tmp_path: Path) -> None:
    space = tmp_path / "small.toml"
    space.write_text(SPACE)
    with start(tmp_path / "whole", space, 5) as search:
        pass
    assert search.returncode == 0
    expected = rows(tmp_path / "whole")
    folder, moments = tmp_path / "killed", random.Random(1)
    kills = 0
    runs = 0
    while kills < KILLS:
        # A search that ends before it is killed starts again in a folder of its own.
        runs += 1
        folder = tmp_path / f"killed{runs}"
        known: dict[Key, str] = {}
        while kills < KILLS:
            with start(folder, space, 5) as search:
                # Wait for a random number of new rows, and a little longer: mostly while designs are being scored.
                wanted = len(rows(folder)) + moments.randrange(0, 14)
                while search.poll() is None and len(rows(folder)) < wanted:
                    time.sleep(0.01)
                time.sleep(moments.uniform(0, 0.2))
                before = rows(folder)  # committed, so it must survive
                search.send_signal(signal.SIGKILL)
            if search.returncode == 0:
                break
            kills += 1
            after = rows(folder)
            assert known.items() <= before.items() <= after.items()
            assert after.items() <= expected.items()
            known = after
            if (folder / "store.sqlite").exists():
                with Store(folder / "store.sqlite") as store:  # checks the file
                    for digest, scorer, version, settings in after:
                        assert store.find(digest, scorer, version, settings) is not None  # checks the checksum
        with start(folder, space, 5) as search:
            pass
        assert search.returncode == 0
        assert rows(folder) == expected
        assert (folder / "front.csv").read_bytes() == (tmp_path / "whole" / "front.csv").read_bytes()
