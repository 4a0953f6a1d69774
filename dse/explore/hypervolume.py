"""Hypervolume: how much of the objective space a set of points dominates, up to a reference point.

Zitzler, Thiele, "Multiobjective evolutionary algorithms", IEEE Transactions on Evolutionary Computation 3(4), 1999. All
objectives are minimised. The larger, the better; 0 where no point lies below the reference point in all objectives.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dse.explore.front import non_dominated

__all__ = ["hypervolume"]


def hypervolume(points: ArrayLike, reference: Sequence[float] | None = None) -> float:
    """The volume that `points` [n, objectives] dominate below `reference` (default: 1 in every objective)."""
    values = np.asarray(points, dtype=float)
    if not values.size:
        return 0.0
    corner = np.ones(values.shape[1]) if reference is None else np.asarray(reference, dtype=float)
    inside = values[np.all(values < corner, axis=1)]
    return _volume(_thinned(inside), corner)


def _thinned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distinct non-dominated points, sorted."""
    distinct = np.unique(values, axis=0)
    return distinct[non_dominated(distinct)] if len(distinct) else distinct


def _volume(points: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    """By slices of the last objective: between two values of it, the points up to there dominate one area.

        volume = sum over k of (z_(k+1) - z_k) area(points with z <= z_k),    z_1 <= z_2 <= ..., z_(n+1) the corner's

    `points`: distinct, non-dominated, below the corner.
    """
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(corner[0] - points[:, 0].min())
    if points.shape[1] == 2:
        x, y = points[np.argsort(points[:, 0], kind="stable")].T
        # Sorted by x, the y of non-dominated points descend: each adds a rectangle up to the y before it.
        return float(((corner[0] - x) * (np.concatenate([[corner[1]], y[:-1]]) - y)).sum())
    order = np.argsort(points[:, -1], kind="stable")
    points = points[order]
    heights = np.diff(np.concatenate([points[:, -1], corner[-1:]]))
    volume = 0.0
    for count, height in enumerate(heights, 1):
        if height > 0:
            volume += height * _volume(_thinned(points[:count, :-1]), corner[:-1])
    return float(volume)
