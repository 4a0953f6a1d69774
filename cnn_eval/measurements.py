"""Whole measurements in one call each, as `from cnn_eval import ...` offers them.

A *subject* is what is measured: a design for all chosen layers of a network, a mapping from layer name to design, or a
network of the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from circuits.designs.design_record import Design
from cnn_eval.attacks import Mode, attack
from cnn_eval.audit import AuditReport, AuditSettings, audit
from cnn_eval.data.dataset_record import Source, Split
from cnn_eval.data.loading import load
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import (
    AccuracyResult,
    base_network,
    is_user_data,
    load_test_images,
    sample_count,
)
from cnn_eval.models.inference import predict
from cnn_eval.models.user_model import check_model
from cnn_eval.data.user_images import load_user_images
from cnn_eval.scenarios import EXAMPLES, Attacked, Task, TransferResult, transfer, transfer_attack, white_box

__all__ = [
    "load_images",
    "load_model",
    "measure_accuracy",
    "measure_transfer",
    "run_attack",
    "run_audit",
]

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
    `python -m cnn_eval data fetch` brought to `folder`; or a .safetensors file with `images` and `labels`, whose pixels
    must be finite but need not lie in [0, 1]. Raises DataError naming a file that is missing or damaged.
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


def measure_transfer(
    subject: Design | Mapping[str, Design],
    *,
    model: str = "lenet5",
    examples: Sequence[str] = EXAMPLES,
    samples: int | None = None,
    layers: str = "conv",
    compute: str = "auto",
) -> dict[str, TransferResult]:
    """How many stored adversarial examples, crafted on the exact network, also fool it through `subject`.

    By set of `examples`: `fooled` of `eligible` among its first `samples` (all by default), with rate and 95 %
    interval. `model`: a committed network. `layers`, `compute`: see `approximate`.
    """
    return transfer(subject, examples=examples, model=model, layers=layers, samples=samples, compute=compute)


def run_attack(
    name: str,
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    source: nn.Module | None = None,
    mode: Mode = "minimum",
    epsilon: float | None = None,
    cache: Path | None = None,
    progress: bool = False,
    **hyperparameters: float,
) -> Attacked:
    """Attacks `network` on `images`, float32 [N, C, H, W] in [0, 1] with true `labels`, int64 [N].

    `name`: "fgsm", "pgd", "deepfool", ... with its `hyperparameters` (steps=40, for instance). `source`: the network
    that examples are crafted on, by default `network` itself (white-box). `mode`: "minimum" searches the smallest
    perturbation that fools, "budget" stays within `epsilon` in the attack's norm. `cache`: folder of crafted examples,
    by default none. The result holds the adversarial images, `crafted.adversarial`, and the `outcome`: which samples
    are eligible, how many of them are fooled, rate and 95 % interval. Raises ValueError for what does not fit,
    MissingExtraError where the attack's library is not installed.
    """
    task = Task(
        attack=attack(name, **hyperparameters),
        mode=mode,
        epsilon=epsilon,
        images=images,
        labels=labels,
        cache=cache,
        progress=progress,
    )
    victims = {"the network": network}
    attacked = white_box(task, victims) if source is None else transfer_attack(task, source, victims)
    return attacked["the network"]


def run_audit(
    subject: Subject,
    *,
    model: str | nn.Module = "lenet5",
    images: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    samples: int = 100,
    settings: AuditSettings | None = None,
    layers: str = "conv",
    backward: str = "ste",
    compute: str = "auto",
    progress: bool = False,
) -> AuditReport:
    """Whether `subject` resists attacks better than the exact network `model`, and whether that can be believed.

    `model`, `images`, `labels`: as in `measure_accuracy`; pixels must lie in [0, 1]. The first `samples` of your images
    are taken, or that many embedded test images, drawn at random by the seed of `settings`. `compute` "auto" attacks on
    lowered products where the design allows, and judges bit-accurately. Seeded and deterministic; minutes for 100
    images with the default `settings`. Raises ValueError for what does not fit, MissingExtraError without the extra
    `attacks`.
    """
    settings = settings or AuditSettings()
    own = images is not None
    images, labels = _images(model, images, labels)
    order = torch.arange(len(images))
    if not own:
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed))
    return audit(
        subject,
        _network(model),
        images[order[:samples]],
        labels[order[:samples]],
        settings=settings,
        layers=layers,
        backward=backward,
        mode=compute,
        progress=progress,
    )


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
