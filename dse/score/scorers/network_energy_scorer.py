"""Scorer `network_energy`: energy of all multiplications of the network's approximate layers for one image.

With p_k products an image in layer k and the energy e_k of its multiplier,  E = sum_k p_k e_k. One design for all
layers costs its energy times all their products.
"""

from __future__ import annotations

from typing import Any

from circuits.cost import ENERGY_UNIT
from circuits.support.numbers import SIGNIFICANT
from dse.score.scorers.cost_scorer import COST, design_costs
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings
from dse.space.per_layer import Candidate, LayerDesigns

__all__ = ["NETWORK_ENERGY"]

assert ENERGY_UNIT == "fJ"
_NJ = 1e-6
"""Nanojoules in a femtojoule."""


def _settings(settings: ScoreSettings) -> dict[str, Any]:
    # The cost scorer's own version: this score is made of its numbers.
    return {
        **COST.settings(settings),
        "cost": COST.version,
        "products": [list(layer) for layer in settings.network.products],
    }


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    if isinstance(candidate, LayerDesigns):
        layers = [(products, design) for _, products, design in candidate.layers]
    else:
        layers = [(sum(products for _, products in settings.network.products), candidate)]
    energy = sum(products * design_costs(design, settings)["energy"] for products, design in layers)
    return {"image_energy": _NJ * energy}


NETWORK_ENERGY = Scorer(
    name="network_energy",
    version=1,
    cost="cheap",
    key="cost_digest",
    columns=(
        Column(
            name="image_energy",
            unit="nJ",
            label="multiplication energy of an image",
            format=SIGNIFICANT,
            heading="image\nnJ",
            note="image (image_energy): energy of all products of the approximate layers for one image.",
            partly_estimated=True,
        ),
    ),
    settings=_settings,
    measure=_measure,
    title=lambda settings: ("multiplications of an image", "all products of the approximate layers"),
    is_asked_for=lambda settings: bool(settings.network.products),
)
