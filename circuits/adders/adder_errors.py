"""Error metrics of stand-alone adders, against the exact sum; by the same machinery as those of multipliers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.accuracy.accumulation import Totals, measure_chunk
from circuits.accuracy.error_functions import ErrorFunction, PairErrors
from circuits.accuracy.error_types import ErrorMetrics
from circuits.accuracy.histograms import ThreadCounts
from circuits.accuracy.sampling import Sampling
from circuits.adders.stand_alone import AdderDesign
from circuits.designs.design_record import Design
from circuits.engine import integer_operations


def adder_errors(
    adder: AdderDesign,
    *,
    samples: int = 1_000_000,
    seed: int = 0,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
    method: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
) -> ErrorMetrics:
    """Error metrics of unsigned sums: as `error_metrics` of an integer design, with the exact sum in place of p.

    P_max is 2 (2^n - 1), the largest sum. Operands are uniform over all integers of n bits; all pairs are evaluated up
    to 2 n = 20 bits (`method="exhaustive"`: up to 32).
    """
    sampling = Sampling(samples=samples, seed=seed, operands=operands, method=method, threads=threads, backend=backend)
    # Both ask only for the shape, the signedness and the name: an adder has them like an integer design.
    like = cast(Design, adder)
    plan = sampling.plan(like)
    if plan.p_max is not None:
        plan = replace(
            plan, p_max=float(2 * (2**adder.width - 1)), p_max_meaning=f"2 (2^{adder.width} - 1), the largest sum"
        )
    errors = _error_function(adder, plan.count, sampling.backend)
    counts, totals = ThreadCounts(), Totals()
    for chunk in plan.results(lambda x, w: measure_chunk(errors, counts.mine(), x, w), sampling.threads):
        totals.add(chunk)
    return totals.metrics(like, plan, counts)


def _error_function(adder: AdderDesign, pairs: int, backend: str) -> ErrorFunction:
    backend = integer_operations.choose_backend(backend, adder.program(), pairs, otherwise="interpreted")

    def errors(x: NDArray[Any], y: NDArray[Any]) -> PairErrors:
        # Sums have at most 63 bits.
        exact = x.astype(np.int64) + y.astype(np.int64)
        error = adder.add(x, y, backend=backend).astype(np.int64) - exact
        return PairErrors(error.astype(np.float64), exact.astype(np.float64))

    return errors
