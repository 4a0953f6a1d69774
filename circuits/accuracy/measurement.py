"""Error metrics of a multiplier: exhaustive for narrow integers, sampled with 95 % confidence intervals otherwise.

    Sampling + Design -> Plan (chunks of operand pairs)         circuits.accuracy.sampling
    chunk -> errors e and exact products p                      circuits.accuracy.error_functions
    errors -> sums, counts, extremes, histograms -> metrics     circuits.accuracy.accumulation, .histograms
    metrics -> estimates with intervals                         circuits.accuracy.interval_rules

What the metrics mean: `circuits.accuracy.error_types`.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from circuits.accuracy.accumulation import Totals, measure_chunk
from circuits.accuracy.error_functions import error_function
from circuits.accuracy.error_types import ErrorMetrics
from circuits.accuracy.histograms import ThreadCounts
from circuits.accuracy.sampling import Sampling
from circuits.designs.design_record import Design


def error_metrics(
    design: Design,
    *,
    samples: int = 1_000_000,
    distribution: str = "uniform01",
    seed: int = 0,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
    method: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
) -> ErrorMetrics:
    """Error metrics of `design` against the exact product.

    Float designs: `samples` pairs of float32 operands, `distribution` "uniform01" (uniform in [0, 1], rounded to
    float32) or "mantissa" (uniform in [1, 2)). The exact product is that of the float32 operands, in float64 without
    rounding; a conversion into a narrower format counts as the design's error.

    Integer designs: "uniform01" means uniform over all operands, "mantissa" (unsigned ones) uniform over those with
    the leading bit set. `method` "exhaustive" evaluates all 2^(w + v) pairs (w + v <= 32), "auto" does so up to
    w + v = 20 bits.

    `operands=(x, w)`: the caller's own arrays (broadcast against each other; first operand = activation), for instance
    recorded from a layer; every pair is evaluated, `samples`, `distribution` and `seed` are not used.

    `threads`: None takes all cores. `backend`: what simulates the circuit (see `circuits.engine.BACKENDS`); "auto" is
    the interpreted engine unless compiling the design pays. Neither changes the result. Raises DesignError on arguments
    out of range.

    >>> error_metrics(Design(format=None, width=4, placement="ama5")).larger.value
    0.4375
    """
    sampling = Sampling(
        samples=samples,
        distribution=distribution,
        seed=seed,
        operands=operands,
        method=method,
        threads=threads,
        backend=backend,
    )
    plan = sampling.plan(design)
    errors = error_function(design, plan, sampling.backend)
    counts, totals = ThreadCounts(), Totals()
    for chunk in plan.results(lambda x, w: measure_chunk(errors, counts.mine(), x, w), sampling.threads):
        totals.add(chunk)
    return totals.metrics(design, plan, counts)
