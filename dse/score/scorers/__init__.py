"""The built-in scorers. To add one, write its module here and add one line to `SCORERS`.

A scorer from outside needs neither: `--scorer package.module:NAME` (`dse.score.outside_scorer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from circuits.support.lazy import LazyMapping
from dse.score.scorers.scorer import Column, Scorer

__all__ = ["COLUMNS", "SCORERS"]

SCORERS: Mapping[str, Scorer] = LazyMapping(
    {
        "error": "dse.score.scorers.error_scorer:ERROR",
        "cost": "dse.score.scorers.cost_scorer:COST",
        "network_energy": "dse.score.scorers.network_energy_scorer:NETWORK_ENERGY",
        "layer_error": "dse.score.scorers.layer_error_scorer:LAYER_ERROR",
        "divergence": "dse.score.scorers.divergence_scorer:DIVERGENCE",
        "accuracy": "dse.score.scorers.accuracy_scorer:ACCURACY",
        "transfer": "dse.score.scorers.transfer_scorer:TRANSFER",
        "margin": "dse.score.scorers.margin_scorer:MARGIN",
        "adaptive": "dse.score.scorers.adaptive_scorer:ADAPTIVE",
    }
)
"""The scorers by name, cheap ones first: the order in which a design is measured."""
COLUMNS: Mapping[str, Column] = MappingProxyType(
    {column.name: column for scorer in SCORERS.values() for column in scorer.columns}
)
"""The columns of the built-in scorers by name, in the order of tables."""
