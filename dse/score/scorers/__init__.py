"""The built-in scorers. To add one, write its module here and add one line to `SCORERS`.

A scorer from outside needs neither: `--scorer package.module:NAME` (`dse.score.outside_scorer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dse.score.scorers.accuracy_scorer import ACCURACY
from dse.score.scorers.adaptive_scorer import ADAPTIVE
from dse.score.scorers.cost_scorer import COST
from dse.score.scorers.error_scorer import ERROR
from dse.score.scorers.margin_scorer import MARGIN
from dse.score.scorers.scorer import Column, Scorer
from dse.score.scorers.transfer_scorer import TRANSFER

__all__ = ["COLUMNS", "SCORERS"]

SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {
        scorer.name: scorer
        for scorer in (
            ERROR,
            COST,
            ACCURACY,
            TRANSFER,
            MARGIN,
            ADAPTIVE,
        )
    }
)
"""The scorers by name, cheap ones first: the order in which a design is measured."""
COLUMNS: Mapping[str, Column] = MappingProxyType(
    {column.name: column for scorer in SCORERS.values() for column in scorer.columns}
)
"""The columns of the built-in scorers by name, in the order of tables."""
