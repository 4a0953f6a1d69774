"""Error surfaces: mean errors over a grid of operand intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from circuits.accuracy.error_functions import ErrorFunction, Reals, error_function
from circuits.accuracy.error_types import ErrorSurface
from circuits.accuracy.sampling import Plan, Sampling, check_integer
from circuits.designs.design_record import Design

MAXIMUM_BINS = 4096


def error_surface(
    design: Design,
    *,
    bins: int = 32,
    samples: int = 1_000_000,
    distribution: str = "uniform01",
    seed: int = 0,
    operands: tuple[ArrayLike, ArrayLike] | None = None,
    method: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
) -> ErrorSurface:
    """Mean errors over a grid of `bins` x `bins` equal operand intervals.

    The other arguments are those of `error_metrics`. Pairs whose result is not finite are left out. Raises DesignError
    on arguments out of range.
    """
    check_integer("bins", bins, 1, MAXIMUM_BINS)
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
    sums = np.zeros((5, bins * bins))
    for chunk in plan.results(lambda x, w: _cell_sums(errors, plan, bins, x, w), sampling.threads):
        sums += chunk
    count, signed, distance, nonzero_count, relative = sums.reshape(5, bins, bins)
    edges = [np.linspace(low, high, bins + 1) for low, high in plan.ranges]
    with np.errstate(invalid="ignore", divide="ignore"):
        return ErrorSurface(
            design=design.label,
            digest=design.digest,
            method=plan.method,
            distribution=plan.distribution,
            samples=plan.count,
            seed=plan.seed,
            x_edges=edges[0],
            w_edges=edges[1],
            count=count.astype(np.int64),
            bias=signed / count,
            med=distance / count,
            mred=relative / nonzero_count,
        )


def _cell_sums(errors: ErrorFunction, plan: Plan, bins: int, x: NDArray[Any], w: NDArray[Any]) -> Reals:
    """float64 [5, bins^2], sums in each cell of the grid: pairs, e, |e|, pairs with p != 0, |e / p|."""
    e, p, _, finite = errors(x, w)
    cell = _cells(plan, bins, x, w)
    if finite is not None:
        cell, e, p = cell[finite], e[finite], p[finite]
    nonzero = p != 0
    relative = np.abs(e[nonzero] / p[nonzero])

    def total(cells: NDArray[np.int64], weights: Reals | None) -> Reals:
        return np.bincount(cells, weights, bins * bins).astype(np.float64)

    inner = cell[nonzero]
    return np.stack(
        [total(cell, None), total(cell, e), total(cell, np.abs(e)), total(inner, None), total(inner, relative)]
    )


def _cells(plan: Plan, bins: int, x: NDArray[Any], w: NDArray[Any]) -> NDArray[np.int64]:
    """The cell of each pair: bins * (bin of the first operand) + bin of the second."""
    cell = np.zeros(x.size, dtype=np.int64)
    for values, (low, high) in zip((x, w), plan.ranges, strict=True):
        # Where the operand's interval is a single value (a trace of constants), all pairs are in bin 0.
        position = (values.astype(np.float64) - low) * (bins / (high - low) if high > low else 0.0)
        cell = cell * bins + np.clip(position.astype(np.int64), 0, bins - 1)
    return cell
