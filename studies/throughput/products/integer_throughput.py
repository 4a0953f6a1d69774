"""Measures matrix products of integers: exact carry-save arrays through the gates with bit-sliced sums, and natively.

Part of the throughput study. Thread CPU time on one thread, both methods in the same interleaved rounds.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from circuits import Design
from circuits.engine.float_operations import matmul
from circuits.engine.multiplier_circuit import code_dtype
from studies.frame.study import Row
from studies.throughput.timing import best

WIDTHS = (8, 12, 16)


def rows(rounds: int) -> list[Row]:
    """Products per second by each method for each width."""
    speeds = []
    rng = np.random.default_rng(2)
    for width in WIDTHS:
        multiplier = Design(topology="carry_save_array", format=None, width=width)
        x, w = (
            rng.integers(0, 1 << width, shape).astype(code_dtype(width, signed=False))
            for shape in ((2048, 150), (150, 16))
        )
        methods = ("gate", "native")
        actions = [partial(matmul, multiplier, x, w, method=method, threads=1) for method in methods]
        for method, elapsed in zip(methods, best(rounds, time.thread_time, *actions), strict=True):
            quantity = f"{width} x {width} bits, {method}, one thread"
            speeds.append(
                Row("matrix product [2048, 150] x [150, 16]", quantity, x.size * 16 / elapsed, unit="products/s")
            )
    return speeds
