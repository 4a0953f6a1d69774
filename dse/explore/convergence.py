"""Convergence of a search: the hypervolume of its front after so many evaluations.

Objectives are scaled so that 0 is the best and 1 the worst value that the run measured, logarithmically where their
axis is; the reference point is 1 in all of them. Curves of different runs have different scales.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dse.explore.front import non_dominated
from dse.explore.hypervolume import hypervolume
from dse.explore.search_result import SearchResult, goal
from dse.score.constraints import broken
from dse.score.scorers.scorer import Column

__all__ = ["CONVERGENCE_NOTE", "convergence", "landmarks"]

CONVERGENCE_NOTE = (
    "hypervolume of the front, 0 to 1: objectives from the best to the worst value of this run, reference point the "
    "worst of each"
)
_LEAST_RATIO = 1e-9
"""A logarithmic objective is bounded below by this part of its largest value: an error may be 0."""


def convergence(result: SearchResult) -> list[tuple[int, float]]:
    """(evaluations, hypervolume) at the first valid design, wherever the hypervolume grows, and at the end.

    Evaluations count all designs of the space that the search judged, skipped ones included. Empty where no design
    meets the constraints and has values in all objectives.
    """
    objectives = result.objectives
    points: list[list[float] | None] = []
    for row in result.in_order:
        values = goal(row, objectives)
        defined = values is not None and all(map(math.isfinite, values))
        points.append(values if defined and not broken(result.question.constraints, row.scores) else None)
    valid = [place for place, point in enumerate(points) if point is not None]
    if not valid:
        return []
    scaled = _scaled(np.array([points[place] for place in valid], dtype=float), objectives)
    curve: list[tuple[int, float]] = []
    front = scaled[:0]
    for place, point in zip(valid, scaled, strict=True):
        if len(front) and np.any(np.all(front <= point, axis=1)):
            continue  # dominated, or there already
        front = np.concatenate([front, point[None]])
        front = front[non_dominated(front)]
        volume = hypervolume(front)
        # A point that is the worst in some objective lies on the border, and adds nothing.
        if not curve or volume > curve[-1][1]:
            curve.append((place + 1, volume))
    return [*curve, (len(points), curve[-1][1])]


def landmarks(curve: Sequence[tuple[int, float]], parts: int = 4) -> list[tuple[int, float]]:
    """The curve at a quarter, a half, ... and all of its evaluations."""
    total = curve[-1][0]
    wanted = dict.fromkeys(max(1, total * part // parts) for part in range(1, parts + 1))
    return [(count, max([volume for at, volume in curve if at <= count], default=0.0)) for count in wanted]


def _scaled(values: NDArray[np.float64], objectives: Sequence[Column]) -> NDArray[np.float64]:
    scaled = values.copy()
    for place, column in enumerate(objectives):
        own = scaled[:, place]
        if column.scale == "log" and column.minimise and own.max() > 0:
            scaled[:, place] = own = np.log10(np.maximum(own, _LEAST_RATIO * own.max()))
        span = own.max() - own.min()
        # An objective that never varies separates nothing: all are at their best.
        scaled[:, place] = (own - own.min()) / span if span else 0.0
    return scaled
