"""How the hypervolume of a search's front grew with the designs that it scored.

The hypervolume of a set of points, all objectives minimised, is the volume that they dominate up to a reference point
(E. Zitzler, L. Thiele, IEEE Trans. Evolutionary Computation 3(4), 1999): it grows with every point that improves the
front. The reference point is the final front's worst value in each objective, moved a tenth of the front's range
further, so that the front's ends count; the curve is in shares of the final volume.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dse.explore.search_result import SearchResult

__all__ = ["HYPERVOLUME_NOTE", "hypervolume_curve"]

HYPERVOLUME_NOTE = (
    "hypervolume: what the front dominates, up to a point a tenth of its range beyond its worst values, as a share of "
    "the final front's"
)

_BEYOND = 0.1
"""How far the reference point lies beyond the front, in ranges of the front."""


def hypervolume_curve(result: SearchResult) -> list[tuple[int, float]]:
    """(designs scored in full so far, share of the final hypervolume), wherever it grew, and at the end.

    Designs that break a constraint count as scored, but add nothing. Empty where no design is on the front.
    """
    from pymoo.indicators.hv import HV

    if not result.front:
        return []
    objectives = result.objectives
    best = np.array([row.values(objectives) for row in result.front])
    extent = best.max(axis=0) - best.min(axis=0)
    # A front of one value in some objective has no range there: take the value's own size.
    extent = np.where(extent > 0, extent, np.maximum(np.abs(best[0]), 1.0))
    low, reference = best.min(axis=0), best.max(axis=0) + _BEYOND * extent
    volume = HV(ref_point=(reference - low) / extent)
    excluded = {entry.row.design.cost_digest for entry in result.ruled_out}
    front: NDArray[np.float64] = np.empty((0, len(objectives)))
    curve, reached = [(0, 0.0)], 0.0
    whole = float(volume((best - low) / extent))
    for count, row in enumerate(result.rows, 1):
        values = np.array(row.values(objectives))
        if row.design.cost_digest in excluded or not all(map(math.isfinite, values)) or (values >= reference).any():
            continue
        if (front <= values).all(axis=1).any():
            continue  # dominated, or there already
        front = np.vstack([front[~(values <= front).all(axis=1)], values])
        share = float(volume((front - low) / extent)) / whole
        if share > reached:
            reached = share
            curve.append((count, share))
    return [*curve, (len(result.rows), reached)]
