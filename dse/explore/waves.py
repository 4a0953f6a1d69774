"""The order in which designs go to expensive measurements, so that early results can save later ones.

Only a design that is nowhere worse than another one in what is known can make the other's measurement superfluous.
Waves therefore follow the ranks of non-dominated sorting (Deb et al. 2002, section III A): every such design comes in
an earlier wave, and no design of a wave can spare another one of it, so that a wave may run in any order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dse.explore.front import non_dominated

__all__ = ["waves"]


def waves(points: Sequence[Sequence[float]]) -> list[list[int]]:
    """Indices of `points` [N, objectives], all minimised, rank by rank; within a rank in order.

    A point with an undefined value is compared with none, and is in the first wave.
    """
    values = np.asarray(points, dtype=float)
    remaining = np.arange(len(values))
    ranks: list[list[int]] = []
    while len(remaining):
        first = non_dominated(values[remaining])
        ranks.append(remaining[first].tolist())
        remaining = remaining[~first]
    return ranks
