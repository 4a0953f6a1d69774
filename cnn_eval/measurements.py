"""Networks, images and accuracy in one call each, for designs and for networks of the user's own.

A *subject* is what is measured: a design for all chosen layers of a network, a mapping from layer name to design, or a
network of the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from circuits.designs.design_record import Design
from cnn_eval.data.dataset_record import Source, Split
from cnn_eval.data.loading import load
from cnn_eval.data.own_images.user_images import is_user_data, load_user_images
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import AccuracyResult, base_network, load_test_images, sample_count
from cnn_eval.models.inference import predict
from cnn_eval.models.user_model import check_model

__all__ = ["load_images", "load_model", "measure_accuracy"]

Subject = Design | Mapping[str, Design] | nn.Module


def load_model(name: str = "lenet5", weights: Path | str | None = None) -> nn.Module:
    """A trained network in evaluation mode on the CPU, computed by torch.

    `name`: a committed network ("lenet5", "alexnet", ...), or "package.module:factory" for one of your own, a function
    without arguments that returns it. `weights`: a .safetensors file, or .pt with weights only, in place of the
    committed weights or the factory's. Raises UnknownNameError, or DataError naming what does not fit.
    """
    return base_network(name, weights)


def load_images(
    name: str | Path = "mnist",
    split: Split = "test",
    *,
    data: Source = "embedded",
    folder: Path | str | None = None,
    samples: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `samples` labelled images (all by default): float32 [N, C, H, W] in [0, 1], int64 [N].

    `name`: a data set ("mnist", "cifar10"), of which `data` is the "embedded" balanced subset or the "full" set that
    `python -m cnn_eval data fetch` brought to `folder`; or your own images and labels, a .safetensors, .npz or .npy
    file or a folder of pictures by class (see `load_user_images`), whose pixels must be finite but need not lie in
    [0, 1]. Raises DataError naming a file that is missing or damaged.
    """
    if is_user_data(str(name)):
        images, labels = load_user_images(name)
    else:
        stored = load(str(name), split, source=data, folder=folder)
        images, labels = stored.images, stored.labels
    count = sample_count(samples, len(images), "images")
    return images[:count], labels[:count]


def measure_accuracy(
    subject: Subject,
    *,
    model: str | nn.Module = "lenet5",
    images: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    samples: int | None = None,
    layers: str = "conv",
    compute: str = "auto",
) -> AccuracyResult:
    """Share of images that `model` with its `layers` through `subject` classifies correctly, with a 95 % interval.

    `model`: a network, or a name for `load_model`; a `subject` that is a network is measured itself. `images`, float32
    [N, C, H, W], with `labels`, int64 [N]: by default the embedded test images of the model's data set; the first
    `samples` of them count (all by default). `layers`, `compute`: see `approximate`. Two results on the same images are
    compared by `difference`. Raises ValueError (DesignError, DataError) for what does not fit.
    """
    base = _network(model)
    images, labels = _images(model, images, labels)
    count = sample_count(samples, len(images), "images")
    network = subject if isinstance(subject, nn.Module) else approximate(base, subject, layers=layers, compute=compute)
    check_model(base if network is not subject else network, images, labels)
    return AccuracyResult((predict(network, images[:count]) == labels[:count]).numpy())


def _network(model: str | nn.Module) -> nn.Module:
    return load_model(model) if isinstance(model, str) else model


def _images(
    model: str | nn.Module, images: torch.Tensor | None, labels: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The images that the user gave, or the embedded test images of the model's data set (MNIST for a network)."""
    if images is not None and labels is not None:
        return images, labels
    if images is not None or labels is not None:
        raise ValueError("images and labels must be given together, but one is missing; give both or neither.")
    return load_test_images(model=model) if isinstance(model, str) else load_images()
