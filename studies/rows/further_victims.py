"""Victims beside the designs of an attack study: all layers approximate, recovered, and the matched control.

They are tried on the same examples as the designs, and are no part of the choice of samples at level quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn

from circuits import DesignError, design
from cnn_eval.data.loading import load
from cnn_eval.layers.approximation import approximate
from cnn_eval.models.registry import model_entry
from cnn_eval.quantized.recovery import recover
from cnn_eval.scenarios.control import matched_control

ALL_LAYERS, RECOVERED, MATCHED = ", all layers", ", recovered", ", matched control"
"""What follows a design's name in the subjects of rows. ALL_LAYERS: linear layers go through the design too, as in the
code that DA's authors published, and not only convolutions, as in the paper. RECOVERED: each channel of each
convolution has a gain and a bias of its own, found on training images by `cnn_eval.recover`. MATCHED: the exact network
with each convolution scaled by the design's mean gain there."""
RECOVERY_IMAGES = {"quick": 32, "default": 500, "full": 500}
"""Training images behind gains and biases, by level."""
GAIN_IMAGES = 32
"""Training images behind the one gain of each layer of a matched control."""


def through(base: nn.Module, name: str, **choices: str) -> nn.Module:
    """Returns `base` with its products computed by a design: lowered if possible, otherwise gate by gate.

    `choices` are passed on to `approximate`.
    """
    try:
        return approximate(base, design(name), compute="lowered", **choices)  # type: ignore[arg-type]
    except DesignError:
        return approximate(base, design(name), **choices)  # type: ignore[arg-type]


def further_victims(
    base: nn.Module,
    model: str,
    level: str,
    *,
    all_layers: Sequence[str] = (),
    recovered: Sequence[str] = (),
    matched: Sequence[str] = (),
) -> dict[str, nn.Module]:
    """Returns label -> victim for the designs named; a design with all layers has a matched control with all, too.

    `base`: the trained network `model`; `level`: that of the study.
    """
    victims = {f"{name}{ALL_LAYERS}": through(base, name, layers="all") for name in all_layers}
    for name in recovered:
        victims[f"{name}{RECOVERED}"] = recover(through(base, name), training_images(model)[: RECOVERY_IMAGES[level]])
    for name in matched:
        images = training_images(model)[:GAIN_IMAGES]
        victims[f"{name}{MATCHED}"] = matched_control(base, through(base, name), images)
        if name in all_layers:
            victims[f"{name}{ALL_LAYERS}{MATCHED}"] = matched_control(base, victims[f"{name}{ALL_LAYERS}"], images)
    return victims


@lru_cache(maxsize=2)
def training_images(model: str) -> torch.Tensor:
    """The embedded training images of a network's data set, float32 [N, C, H, W]."""
    return load(model_entry(model).dataset, "train").images[: max(RECOVERY_IMAGES.values())]
