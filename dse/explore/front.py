"""Pareto dominance, and the judgement of a design that search methods rank by.

With all objectives minimised, a dominates b when a_k <= b_k for every objective k and a_k < b_k for at least one. The
relation is transitive, so every dominated point is dominated by one on the front, and the front depends on the set of
points alone, not on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Judgement:
    """What a search method learns of a design.

    `values`: the objective values, minimised; None where the design has none. `violations`: by how much it breaks each
    constraint, 0 where it holds.
    """

    values: Sequence[float] | None
    violations: Sequence[float] = ()


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Which of `points` [N, objectives], all minimised, lie on the Pareto front; bool [N].

    Equal points do not dominate each other: they are on the front together, or not at all.
    """
    values = np.asarray(points, dtype=float)
    on_front = np.ones(len(values), dtype=bool)
    # One comparison with all points for each point: N^2 in all, and N is at most the budget of a search.
    for index, point in enumerate(values):
        nowhere_larger = np.all(values <= point, axis=1)
        somewhere_smaller = np.any(values < point, axis=1)
        on_front[index] = not np.any(nowhere_larger & somewhere_smaller)
    return on_front
