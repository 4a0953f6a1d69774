"""How much each choice of a design mattered to an objective, among the designs that a search scored.

The choices of a design are its fields (topology, ports, ...) and the cell of every band, tile or position, for each
layer where layers have designs of their own. The importance of a choice for an objective is the share of the variance
of the objective's ranks that lies between the choice's values, adjusted for the number of values:

    eta^2_H = (H - k + 1) / (n - k),    H = (n - 1) (variance of ranks between values) / (variance of ranks)

with n designs, k values and the statistic H of Kruskal and Wallis (M. Tomczak, E. Tomczak, Trends in Sport Sciences 1,
2014). Ranks, because a few very bad designs would otherwise decide everything; adjusted, because a choice of many
values explains much of any few numbers by chance: its expectation is 0 where a choice does not matter, and 1 is the
most. It says nothing of choices that matter only together, and a search does not draw designs at random: it is about
the designs that were scored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from circuits.designs.design_record import Design
from circuits.support.statistics import ranks
from dse.explore.search_result import SearchResult
from dse.explore.stored_runs import every_design
from dse.space.granularity import GRANULARITIES
from dse.space.per_layer import Candidate, designs_of

__all__ = ["adjusted_share", "choice_importances", "choices_of"]

_FIELDS = (
    "topology",
    "format",
    "width",
    "signed",
    "ports",
    "half_adders",
    "final_adder",
    "tile",
    "truncate_columns",
    "rounding",
    "normalization",
    "subnormals",
)
_FEWEST = 8
"""Fewer designs say nothing."""


def choice_importances(result: SearchResult) -> dict[str, list[tuple[str, float]]]:
    """Objective -> (choice, importance), the most important first; choices that all designs share are left out."""
    space = result.record.configuration["space"]
    rows = every_design(result)
    choices = [choices_of(row.design, space) for row in rows]
    names = dict.fromkeys(name for each in choices for name in each)
    importances = {}
    for column in result.objectives:
        known = [k for k, row in enumerate(rows) if math.isfinite(row.scores.get(column.name, math.nan))]
        if len(known) < _FEWEST:
            continue
        values = [rows[k].scores[column.name] for k in known]
        shares = ((name, adjusted_share([choices[k].get(name, "") for k in known], values)) for name in names)
        importances[column.name] = sorted(
            ((name, max(0.0, share)) for name, share in shares if share is not None), key=lambda item: -item[1]
        )
    return {name: shares for name, shares in importances.items() if shares}


def adjusted_share(choices: Sequence[str], values: Sequence[float]) -> float | None:
    """eta^2_H of a choice for values of the same designs; None where all choose alike, no two, or all values agree."""
    _, group = np.unique(np.asarray(choices), return_inverse=True)
    count, groups = len(group), int(group.max(initial=0)) + 1
    ranked = ranks(np.asarray(values, dtype=float))
    total = float(((ranked - ranked.mean()) ** 2).sum())
    if groups < 2 or groups >= count or not total:
        return None
    sizes = np.bincount(group)
    means = np.bincount(group, weights=ranked) / sizes
    between = float((sizes * (means - ranked.mean()) ** 2).sum())
    statistic = (count - 1) * between / total
    return (statistic - groups + 1) / (count - groups)


def choices_of(candidate: Candidate, space: Mapping[str, Any]) -> dict[str, str]:
    """Name of a choice -> what the candidate chose, as text; `space`: a run's record of its space."""
    choices = {}
    for layer, design in designs_of(candidate).items():
        prefix = f"{layer}: " if layer else ""
        for name, value in {**_plain_choices(design), **_cell_choices(design, space)}.items():
            choices[prefix + name] = value
    return choices


def _plain_choices(design: Design) -> dict[str, str]:
    if design.circuit is not None:
        return {"circuit": design.label}
    fields = {name.replace("_", " "): str(getattr(design, name)) for name in _FIELDS}
    return {**fields, **{f"option {name}": str(value) for name, value in design.options.items()}}


def _cell_choices(design: Design, space: Mapping[str, Any]) -> dict[str, str]:
    """The cells of the space's places; the placement as a whole where it is not one of the space's."""
    if design.circuit is not None:
        return {}
    bands = space.get("bands") or [0]
    granularity = GRANULARITIES.get(space.get("granularity", "columns"))
    cells = None
    if granularity is not None:
        cells = granularity.kind.choices_of(design.placement, design.shape, design.tile, bands)
    if cells is None:
        return {"placement": design.placement.describe()}
    if len(cells) == 1:
        return {"cell": cells[0].name}
    if len(cells) != len(bands):
        return {f"cell {k}": cell.name for k, cell in enumerate(cells)}
    ends = [*(band - 1 for band in bands[1:]), None]
    what = space.get("granularity", "columns")
    return {
        f"cells of {what} {start}{'' if end == start else ' up' if end is None else f' to {end}'}": cell.name
        for start, end, cell in zip(bands, ends, cells, strict=True)
    }
