"""The members of a front that the 95 % intervals of their scores do not tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from dse.score.scored_design import ScoredDesign
from dse.score.scorers.scorer import Column, Scores

__all__ = ["indistinct", "indistinct_note", "interval"]

_NAMED = 6
"""The note lists up to this many members by name, and only counts more of them."""


def interval(column: Column, scores: Scores) -> tuple[float, float] | None:
    """The 95 % interval of the score in that column, in its unit; None for what is not sampled, or not measured."""
    if math.isnan(scores.get(column.name, math.nan)):
        return None
    return column.interval(column.name, scores)


def indistinct(rows: Sequence[ScoredDesign], column: Column) -> list[ScoredDesign]:
    """The rows whose interval in that column overlaps that of the row with the next smaller or next larger score."""
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


def indistinct_note(front: Sequence[ScoredDesign], columns: Sequence[Column]) -> str:
    """One sentence on the members of a front whose intervals in `columns` overlap; empty if there are none.

    All designs are measured on the same samples. On these their order is certain; on others it could differ.
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
