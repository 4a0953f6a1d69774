"""Accuracy of networks computed through designs, with intervals and paired differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from circuits import Design
from circuits.statistics import normal_quantile, wilson
from cnn_eval.data import Source, load
from cnn_eval.layers import approximate
from cnn_eval.models import load_model, model_entry, predict

__all__ = ["AccuracyResult", "difference", "evaluate", "network"]


@dataclass(frozen=True)
class AccuracyResult:
    """Which images a network classified rightly: bool [images], in data-set order."""

    correct: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of images classified rightly."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `accuracy`."""
        return wilson(int(self.correct.sum()), self.correct.size)


def evaluate(
    design: Design,
    *,
    model: str = "lenet5",
    data: Source = "embedded",
    samples: int | None = None,
    layers: str = "conv",
    folder: Path | str | None = None,
) -> AccuracyResult:
    """`model` with its `layers` through `design` on the first `samples` test images (all by default).

    The images and weights are those of `cnn_eval.data` and `cnn_eval.models`, which raise for what is missing.
    """
    images = load(model_entry(model).dataset, "test", source=data, folder=folder)
    count = sample_count(samples, len(images), "test images")
    predicted = predict(network(design, model=model, layers=layers), images.images[:count])
    return AccuracyResult((predicted == images.labels[:count]).numpy())


def difference(one: AccuracyResult, other: AccuracyResult) -> tuple[float, tuple[float, float]]:
    """Accuracy of `one` less that of `other` on the same images, with its 95 % interval for paired samples.

    Source: Agresti, Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24, 2005: a half added to each cell of the 2 x 2 table.
    """
    if one.correct.shape != other.correct.shape:
        raise ValueError(
            f"both results must be of the same images, but have {one.correct.size} and {other.correct.size}; "
            "evaluate both on the same samples."
        )
    gained = int((one.correct & ~other.correct).sum())
    lost = int((other.correct & ~one.correct).sum())
    count = one.correct.size
    moved = (gained - lost) / (count + 2)
    spread = math.sqrt((gained + lost + 1) - (gained - lost) ** 2 / (count + 2)) / (count + 2)
    half = normal_quantile(0.95) * spread
    return (gained - lost) / count, (moved - half, moved + half)


def network(design: Design, *, model: str = "lenet5", layers: str = "conv") -> nn.Module:
    """The trained `model` in evaluation mode with its `layers` through `design`."""
    return approximate(load_model(model), design, layers=layers)


def sample_count(samples: int | None, available: int, what: str) -> int:
    """`samples`, or all `available` when None; ValueError where there are not that many."""
    if samples is None:
        return available
    if not 1 <= samples <= available:
        raise ValueError(f"1 <= samples <= {available} must hold for the {what}, but got {samples}; choose fewer.")
    return samples
