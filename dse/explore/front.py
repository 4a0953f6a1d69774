"""Pareto fronts: which of many points no other point dominates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Judgement:
    """A design's objective values (minimised), None where it has none, and its constraint violations, each >= 0."""

    values: Sequence[float] | None
    violations: Sequence[float] = ()


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Which of `points` [N, objectives], all minimised, lie on the Pareto front, bool [N].

    A point dominates another when it is nowhere larger and somewhere smaller; equal points do not dominate each other.
    """
    values = np.asarray(points, dtype=float)
    kept = np.ones(len(values), dtype=bool)
    for index, point in enumerate(values):
        kept[index] = not np.any(np.all(values <= point, axis=1) & np.any(values < point, axis=1))
    return kept
