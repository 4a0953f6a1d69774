"""Measures the time of error metrics: a whole operand space, large samples, many designs. Part of `throughput`.

The numbers are wall times on all cores. The CPU time in each remark shows how much other load on the machine has cost.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import numpy as np

from circuits import Design, error_metrics
from circuits.engine.task_threads import default_threads
from studies.frame.study import Row

_PRODUCTS_A_DESIGN = 100_000


def rows(*, quick: bool) -> list[Row]:
    """Measures error metrics of carry-save arrays, exact ones and ones of random cells.

    `quick` reduces widths, samples and numbers of designs; the rows state the sizes used.
    """
    width, samples, designs = (14, 10**7, 100) if quick else (16, 10**8, 1000)
    cells = np.random.default_rng(4).choice(["exact", "ama1", "ama2", "ama3", "ama4"], 2 * width).tolist()
    integers: dict[str, Any] = {"topology": "carry_save_array", "format": None}
    subject = f"error metrics, {default_threads()} cores"
    timings = []
    for quantity, multiplier, options in (
        (
            f"{width} x {width}, a cell a column, all pairs",
            Design(**integers, width=width, placement={"columns": cells}),
            {"method": "exhaustive"},
        ),
        ("24 x 24 exact, sampled integers", Design(**integers, width=24), {"samples": samples}),
        (
            "24 x 24 exact, sampled float32",
            Design(topology="carry_save_array", rounding="nearest_even"),
            {"samples": samples},
        ),
    ):
        error_metrics(multiplier, samples=2, method="sampled", backend="compiled")  # loads the kernels
        start = time.perf_counter(), time.process_time()
        pairs = error_metrics(multiplier, **options).samples
        wall, processor = time.perf_counter() - start[0], time.process_time() - start[1]
        timings.append(Row(subject, quantity, wall, unit="s", remark=f"{pairs:.3g} products, {processor:.3g} s of CPU"))
    return [*timings, _many_designs(subject, designs)]


def _many_designs(subject: str, count: int) -> Row:
    """Measures the time to score `count` random designs, distributed over one process per core."""
    seeds = np.random.SeedSequence(5).spawn(default_threads())
    shares = [count // len(seeds) + (k < count % len(seeds)) for k in range(len(seeds))]
    with multiprocessing.get_context("spawn").Pool(len(seeds)) as pool:
        pool.starmap(
            _score_designs, [(seed, 1) for seed in seeds], chunksize=1
        )  # starts the processes, loads the kernels
        started = time.perf_counter()
        processor = sum(pool.starmap(_score_designs, zip(seeds, shares, strict=True), chunksize=1))
        wall = time.perf_counter() - started
    remark = f"24 x 24, a cell a place, {_PRODUCTS_A_DESIGN:.3g} products each, {processor:.3g} s of CPU"
    return Row(subject, f"{count} designs, interpreted", wall, unit="s", remark=remark)


def _score_designs(seed: np.random.SeedSequence, count: int) -> float:
    """Scores random designs from placement to metrics, without compilation, as a search does.

    Returns the CPU time in seconds.
    """
    rng = np.random.default_rng(seed)
    cells = ["exact", "ama1", "ama2", "ama3", "ama4", "ama5"]
    start = time.process_time()
    for _ in range(count):
        multiplier = Design(topology="carry_save_array", placement={"grid": rng.choice(cells, (25, 24)).tolist()})
        error_metrics(multiplier, samples=_PRODUCTS_A_DESIGN, threads=1, backend="interpreted")
    return time.process_time() - start
