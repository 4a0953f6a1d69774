"""Circuit scores of a network that has a multiplier in each of several layers, from the scores of these multipliers.

With p_k products an image in layer k and the score s_k of its multiplier, a column is by its `over_layers`

    mean      sum_k p_k s_k / sum_k p_k     error and energy of an average product
    sum       sum_k s_k                     area: all multipliers exist side by side
    largest   max_k s_k                     delay: the slowest multiplier sets the clock

A detail follows the rule of the column whose name it begins with (area_simplified that of area), and the mean where
there is none. Ratios over a baseline (area_to_exact) of a summed column do not add up: their plain mean is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from circuits.designs.design_record import Design
from dse.score.scorers.scorer import Column, ScoreSettings
from dse.space.per_layer import Candidate, LayerDesigns

__all__ = ["combined", "each_layer", "in_each_layer"]

_RATIO = "_to_"
"""Marks a detail that is a ratio over a baseline."""


def combined(layers: Sequence[tuple[int, Mapping[str, float]]], columns: Sequence[Column]) -> dict[str, float]:
    """The scores of the network from (products an image, scores of the multiplier) for each layer."""
    total = sum(products for products, _ in layers)
    scores = {}
    for name in layers[0][1]:
        values = [of_layer[name] for _, of_layer in layers]
        match _rule(name, columns):
            case "largest":
                scores[name] = max(values)
            case "sum" if _RATIO in name:
                scores[name] = sum(values) / len(values)
            case "sum":
                scores[name] = sum(values)
            case _:
                weighted = zip(layers, values, strict=True)
                scores[name] = sum(products * value for (products, _), value in weighted) / total
    return scores


def in_each_layer(scores: Mapping[str, float], layers: int, columns: Sequence[Column]) -> dict[str, float]:
    """The scores of one design as those of a network that has its multiplier in each of `layers` layers.

    This is what `combined` gives for that design in every layer, so that references and LayerDesigns are comparable.
    With `layers` 0, one design for all, the scores stay as they are.
    """
    return {
        name: sum([value] * layers) if layers and _rule(name, columns) == "sum" and _RATIO not in name else value
        for name, value in scores.items()
    }


def each_layer(
    measure: Callable[[Design, ScoreSettings], dict[str, float]], columns: Sequence[Column]
) -> Callable[[Candidate, ScoreSettings], dict[str, float]]:
    """A scorer's `measure` that also takes LayerDesigns, made from the `measure` of one circuit."""

    # Candidates of a search over layers have most of their designs in common.
    of_one = lru_cache(maxsize=1 << 12)(measure)

    def measured(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
        if isinstance(candidate, LayerDesigns):
            of_layers = [(products, of_one(design, settings)) for _, products, design in candidate.layers]
            return combined(of_layers, columns)
        return measure(candidate, settings)

    return measured


def _rule(name: str, columns: Sequence[Column]) -> str:
    """`over_layers` of the column that `name` is, or is a detail of."""
    owners = [column for column in columns if name == column.name or name.startswith(f"{column.name}_")]
    return max(owners, key=lambda column: len(column.name)).over_layers if owners else "mean"
