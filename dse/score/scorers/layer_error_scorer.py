"""Scorer `layer_error`: NMED and MRED on the operands that the network's layers really give their multipliers.

The layers' operands are recorded in the network with exact products: codes of integer designs, float32 values
otherwise. The errors of the layers' multipliers are means weighted by products an image.
"""

from __future__ import annotations

from typing import Any

from circuits.support.numbers import SIGNIFICANT
from dse.score.networks.network_keys import data_digest, network_settings
from dse.score.scorers.layer_scores import combined
from dse.score.scorers.scorer import Column, Scorer, ScoreSettings
from dse.space.per_layer import Candidate, LayerDesigns

__all__ = ["LAYER_ERROR"]

OPERAND_IMAGES = 100
"""Images whose products are recorded."""
_NOTE = (
    "layer NMED, MRED: on operands recorded in the network's layers with exact products, weighted by products an image."
)
_COLUMNS = tuple(
    Column(
        name=f"layer_{name.lower()}",
        unit="1",
        label=f"{name} on the layers' operands",
        format=SIGNIFICANT,
        scale="log",
        heading=f"layer\n{name}",
        note=_NOTE,
        best=0.0,
    )
    for name in ("NMED", "MRED")
)


def _settings(settings: ScoreSettings) -> dict[str, Any]:
    return {
        **network_settings(settings),
        "data": data_digest(settings),
        "products": [list(layer) for layer in settings.network.products],
        "images": OPERAND_IMAGES,
        "samples": settings.samples,
        "seed": settings.seed,
    }


def _measure(candidate: Candidate, settings: ScoreSettings) -> dict[str, float]:
    from dse.score.networks.layer_operands import errors_in_layer

    if isinstance(candidate, LayerDesigns):
        layers = candidate.layers
    else:
        layers = tuple((name, products, candidate) for name, products in settings.network.products)
    names = tuple(name for name, _, _ in layers)
    by_layer = []
    for name, products, design in layers:
        nmed, mred = errors_in_layer(design, name, names, settings, OPERAND_IMAGES)
        by_layer.append((products, {"layer_nmed": nmed, "layer_mred": mred}))
    return combined(by_layer, _COLUMNS)


LAYER_ERROR = Scorer(
    name="layer_error",
    version=1,
    cost="network",
    key="digest",
    columns=_COLUMNS,
    settings=_settings,
    measure=_measure,
    title=lambda settings: (
        "error in the layers",
        "operands recorded in the network's layers with exact products, layers weighted by products an image",
    ),
    is_asked_for=lambda settings: settings.network.operands == "layers",
)
