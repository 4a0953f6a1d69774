"""Accuracy of networks computed through designs, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits import Design
from circuits.support.statistics import paired_difference_interval, wilson
from cnn_eval.data.dataset_record import Source
from cnn_eval.data.loading import load
from cnn_eval.data.own_images.user_images import is_user_data, load_user_images
from cnn_eval.layers.approximation import approximate
from cnn_eval.layers.product_kinds import compute_argument
from cnn_eval.models.devices import on_chosen_device
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import build, load_model, model_entry
from cnn_eval.models.user_model import check_model, load_user_model
from cnn_eval.quantized.quantized_files import is_quantized_file, load_quantized
from cnn_eval.support.verified_files import DataError

__all__ = ["AccuracyResult", "base_network", "difference", "evaluate", "network"]


@dataclass(frozen=True)
class AccuracyResult:
    """Which images a network classified correctly: bool [images], in the order of the data set."""

    correct: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly."""
        return float(self.correct.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `accuracy`."""
        return wilson(int(self.correct.sum()), self.correct.size)

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON-ready values."""
        return {
            "correct": int(self.correct.sum()),
            "images": self.correct.size,
            "accuracy": self.accuracy,
            "interval": self.interval,
        }


def evaluate(
    design: Design | Mapping[str, Design],
    *,
    model: str = "lenet5",
    data: Source | str = "embedded",
    samples: int | None = None,
    layers: str = "conv",
    folder: Path | str | None = None,
    compute: str = "auto",
    weights: Path | str | None = None,
    dataset: str | None = None,
    mode: str | None = None,
) -> AccuracyResult:
    """The accuracy of `model` with its `layers` through `design`, on the first `samples` test images (default: all).

    `design`, `layers`, `compute` and the deprecated `mode`: as in `approximate`. `model`: a name in
    MODELS, or package.module:factory (see `load_user_model`). `weights`: a file that replaces the committed or the
    factory's weights. `data`: "embedded" or "full", the test images of `dataset` (by default that of a named model,
    "mnist" for a user's), or the path of a file or folder (see `load_user_images`), whose pixels must be finite but
    need not lie in [0, 1]. Raises DataError or DesignError for anything that is missing or does not fit.
    """
    compute = compute_argument(compute, mode)
    images, labels = load_test_images(model=model, data=data, folder=folder, dataset=dataset)
    count = sample_count(samples, len(images), "test images")
    base = base_network(model, weights)
    computed = approximate(base, design, layers=layers, compute=compute)
    if is_user_model(model) or is_user_data(data) or dataset is not None:
        check_model(base, images, labels)
    return AccuracyResult((predict(computed, images[:count]) == labels[:count]).numpy())


def load_test_images(
    *,
    model: str,
    data: Source | str = "embedded",
    folder: Path | str | None = None,
    dataset: str | None = None,
    unit: bool = False,
    notes: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(images float32 [N, C, H, W], labels int64 [N]) that `evaluate` uses with these arguments.

    With `unit`, the pixels of a user's images must lie in [0, 1], as attacks need. `notes`: see `load_user_images`.
    """
    if is_user_data(data):
        if dataset is not None or folder is not None:
            raise ValueError(
                f"data must be 'embedded' or 'full' with a dataset or folder, but got {data!r}; leave those out."
            )
        return load_user_images(data, unit=unit, notes=notes)
    if data not in get_args(Source) and (Path(data).suffix or Path(data).exists()):
        raise DataError(
            "data must be 'embedded', 'full', a .safetensors, .npz or .npy file of images and labels, or a folder of "
            f"pictures by class, but got {data!r}; convert it."
        )
    name = dataset or ("mnist" if is_user_model(model) else model_entry(model).dataset)
    images = load(name, "test", source=data, folder=folder)  # type: ignore[arg-type]  # load checks it
    return images.images, images.labels


def is_user_model(model: str) -> bool:
    """Whether `model` means package.module:factory."""
    return ":" in model


def difference(one: AccuracyResult, other: AccuracyResult) -> tuple[float, tuple[float, float]]:
    """Accuracy of `one` minus that of `other` on the same images, with its 95 % interval for paired samples."""
    if one.correct.shape != other.correct.shape:
        raise ValueError(
            f"both results must be of the same images, but have {one.correct.size} and {other.correct.size}; "
            "evaluate both on the same samples."
        )
    gained = int((one.correct & ~other.correct).sum())
    lost = int((other.correct & ~one.correct).sum())
    count = one.correct.size
    return (gained - lost) / count, paired_difference_interval(gained, lost, count)


def base_network(model: str = "lenet5", weights: Path | str | None = None) -> nn.Module:
    """The trained `model`, named or a user's, in evaluation mode, with exact products by torch.

    It runs on the device of --device or the environment (see `on_chosen_device`). Weights that `save_quantized` wrote
    make it a quantised network with exact integer products.
    """
    if weights is not None and is_quantized_file(weights):
        return on_chosen_device(load_quantized(untrained(model), weights))
    return on_chosen_device(load_user_model(model, weights) if is_user_model(model) else load_model(model, weights))


def untrained(model: str) -> nn.Module:
    """The architecture of `model`, with weights of no meaning."""
    return load_user_model(model) if is_user_model(model) else build(model, seed=0).eval()


def network(
    design: Design | Mapping[str, Design],
    *,
    model: str = "lenet5",
    layers: str = "conv",
    compute: str = "auto",
    weights: Path | str | None = None,
) -> nn.Module:
    """The trained `model` in evaluation mode with its `layers` through `design`."""
    return approximate(base_network(model, weights), design, layers=layers, compute=compute)


def sample_count(samples: int | None, available: int, what: str) -> int:
    """`samples`, or all `available` if None. Raises ValueError unless there are that many."""
    if samples is None:
        return available
    if not 1 <= samples <= available:
        raise ValueError(f"1 <= samples <= {available} must hold for the {what}, but got {samples}; choose fewer.")
    return samples
