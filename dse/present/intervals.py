"""What the 95 % intervals of scores say of a front: which members are not told apart by what was sampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from circuits.support.statistics import paired_difference_interval, wilson
from dse.present.score_table import Row
from dse.score.scorers import Column, Scores

__all__ = ["indistinct", "indistinct_note", "interval"]

_NAMED = 6
"""Members that the note lists by name; of more it gives the number."""


def interval(column: Column, scores: Scores) -> tuple[float, float] | None:
    """The 95 % interval of the score in that column, in its unit; None for what is not sampled, or not measured.

    Where the scorer stores none it follows from the scorer's counts: Wilson's for a rate over several example sets,
    that for paired samples for a loss of accuracy.
    """
    name = column.name
    if math.isnan(scores.get(name, math.nan)):
        return None
    if f"{name}_low" in scores:
        return scores[f"{name}_low"], scores[f"{name}_high"]
    if name == "accuracy_loss" and "images_lost" in scores:
        lost, gained, images = (int(scores[key]) for key in ("images_lost", "images_gained", "images"))
        low, high = paired_difference_interval(lost, gained, images)
        return 100 * low, 100 * high
    prefix, _, kind = name.rpartition("_")
    sets = [key.removesuffix("_fooled") for key in scores if key.startswith(prefix) and key.endswith("_fooled")]
    if kind == "rate" and sets:
        fooled, eligible = (int(sum(scores[f"{key}_{count}"] for key in sets)) for count in ("fooled", "eligible"))
        low, high = wilson(fooled, eligible)
        return 100 * low, 100 * high
    return None


def indistinct(rows: Sequence[Row], column: Column) -> list[Row]:
    """The rows whose interval in that column reaches the interval of the next smaller or next larger row."""
    ordered = sorted(
        (row for row in rows if interval(column, row.scores) is not None), key=lambda row: row.scores[column.name]
    )
    bounds = [interval(column, row.scores) or (math.nan, math.nan) for row in ordered]
    touching = {
        place
        for first, ((_, high), (low, _)) in enumerate(pairwise(bounds))
        if low <= high
        for place in (first, first + 1)
    }
    return [ordered[place] for place in sorted(touching)]


def indistinct_note(front: Sequence[Row], columns: Sequence[Column]) -> str:
    """One sentence on the members of a front that differ by less than their intervals in `columns`; empty if none do.

    All designs are measured on the same samples, so their order on these is certain; on others it could be another.
    """
    texts = []
    for column in columns:
        close = indistinct(front, column)
        if close:
            names = f" ({', '.join(row.name for row in close)})" if len(close) <= _NAMED else ""
            texts.append(f"{column.name} {len(close)} of {len(front)}{names}")
    if not texts:
        return ""
    return (
        "Members of the front that differ from the next by less than their 95 % intervals, so that other samples could "
        f"order them otherwise: {'; '.join(texts)}."
    )
