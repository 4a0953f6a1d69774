"""Compares the default search with that of another checkout: designs per CPU second, and hypervolume at equal budget.

    git worktree add /somewhere 2d6c522
    python tests/support/searches/compare_searches.py /somewhere --seeds 5

With --keep FOLDER the front and the seconds of each search stay there, and a search that has them is not repeated.

Both run in turns, with this interpreter and their own modules. CPU time counts all processes of a search, from start to
report. The hypervolume is over energy, delay and accuracy loss (negative losses count as 0), each scaled to 0..1 over
all runs; the reference point is (1, 1, 1).
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dse.explore.hypervolume import hypervolume

HERE = Path(__file__).resolve().parents[3]
OBJECTIVES = ("energy", "delay", "accuracy_loss")


def main() -> int:
    """Prints one line for each seed and checkout, then ratios and medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds; each checkout searches once per seed")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keeps results there, and continues from them")
    parser.add_argument("arguments", nargs="*", help="further arguments for both searches, after --")
    options = parser.parse_args()
    seconds: dict[Path, list[float]] = {}
    fronts: dict[Path, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        kept = options.keep or Path(temporary)
        for seed in range(options.seeds):
            for who, checkout in (("other", options.other.resolve()), ("ours", HERE)):
                folder = kept / f"{who}-{seed}"
                spent = search_once(checkout, folder, ["--seed", str(seed), *options.arguments])
                fronts.setdefault(checkout, []).append(front(folder / "front.csv"))
                seconds.setdefault(checkout, []).append(spent)
                print(f"{checkout}: seed {seed}, {spent:.1f} CPU s", flush=True)
    everything = np.concatenate([points for of_checkout in fronts.values() for points in of_checkout])
    low, span = everything.min(axis=0), np.ptp(everything, axis=0)
    volumes = {
        checkout: [hypervolume((points - low) / span) for points in of_seeds] for checkout, of_seeds in fronts.items()
    }
    for checkout, of_seeds in volumes.items():
        print(f"{checkout}: hypervolume {', '.join(f'{volume:.4f}' for volume in of_seeds)}", end="")
        print(f"; median {statistics.median(of_seeds):.4f}; CPU s, median {statistics.median(seconds[checkout]):.1f}")
    theirs, ours = seconds.values()
    print(f"designs per CPU second, ours over theirs: {statistics.median(map(float.__truediv__, theirs, ours)):.2f}")
    return 0


def search_once(checkout: Path, folder: Path, arguments: list[str]) -> float:
    """CPU seconds of one search into `folder`, unless it has been there and left them."""
    record = folder / "seconds.txt"
    if not record.exists():
        record.parent.mkdir(parents=True, exist_ok=True)
        spent = search(checkout, folder, arguments)
        record.write_text(f"{spent}\n", encoding="utf-8")
    return float(record.read_text(encoding="utf-8"))


def search(checkout: Path, folder: Path, arguments: list[str]) -> float:
    """CPU seconds of one search."""
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "dse.search", "--fresh", "--out", str(folder), *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def front(path: Path) -> np.ndarray:
    """The objectives in a front.csv, float64 [designs, 3]; a heading may carry a unit after the name."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    columns = [next(key for key in rows[0] if key.split(" ")[0].rstrip(",") == name) for name in OBJECTIVES]
    return np.array([[max(0.0, float(row[key])) for key in columns] for row in rows])


if __name__ == "__main__":
    raise SystemExit(main())
