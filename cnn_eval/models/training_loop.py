"""The training loop: a fixed number of epochs with a scheduled learning rate, resumable bit for bit.

It trains float networks from the start (`train`) and retrains approximate ones (`cnn_eval.retraining`).

The last weights are kept: no epoch is chosen by its accuracy. Every random choice of an epoch (order of the images,
augmentation, dropout) follows from (seed, epoch) alone, and a checkpoint holds the complete state between two epochs.
So a run that was killed and resumed gives the weights of an uninterrupted one, bit for bit, on the same machine with
the same number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.data.loading import LabelledImages
from cnn_eval.models.augmentation import augment
from cnn_eval.models.checkpoints import restore_checkpoint, write_checkpoint
from cnn_eval.models.registry import build, model_entry
from cnn_eval.models.training_settings import TrainingSettings
from cnn_eval.quantized.grid import NotANumberError
from cnn_eval.support.thread_limits import torch_threads

__all__ = ["DivergedError", "EpochReport", "train", "train_network"]


class DivergedError(ValueError):
    """The loss or a weight is no longer finite. The checkpoint of the last whole epoch stays where it is."""


class EpochReport(NamedTuple):
    """What `train` reports after each epoch: its number, counted from 1, and the mean training loss."""

    number: int
    loss: float


def train(
    settings: TrainingSettings,
    images: LabelledImages,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Trains on `images` and returns the network in its deployed form and in evaluation mode.

    With `checkpoint`, the state is written there after every epoch, and a run continues from the state found there.
    `on_epoch` receives a report after each epoch, `on_batch` the number of images processed so far. Raises
    UnknownNameError for an unknown model, DataError when the checkpoint is damaged, ValueError when it belongs to other
    settings.
    """
    model = build(settings.model, seed=settings.seed, for_training=True)
    model = train_network(
        model, settings, images.images, images.labels, checkpoint=checkpoint, on_epoch=on_epoch, on_batch=on_batch
    )
    return model_entry(settings.model).deploy(model)


def train_network(
    model: nn.Module,
    settings: TrainingSettings,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
    after_epoch: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """Trains `model` itself on images [N, C, H, W] with labels int64 [N]; returns it in evaluation mode.

    `checkpoint`, `on_epoch` and `on_batch`: as in `train`. `after_epoch` may change the network's buffers before the
    checkpoint is written. Raises DivergedError as soon as the loss or a weight is not finite; the checkpoint then is
    that of the last whole epoch.
    """
    model = model.to(memory_format=_layout(settings))  # type: ignore[call-overload]  # missing from torch's stub
    optimizer = _optimizer(settings, model)
    epochs_done = 0
    if checkpoint is not None and checkpoint.exists():
        epochs_done = restore_checkpoint(checkpoint, settings, model, optimizer)
    with torch_threads(settings.threads):
        model.train()
        for epoch in range(epochs_done, settings.epochs):
            try:
                loss = _train_epoch(settings, epoch, model, optimizer, images, labels, on_batch)
            except _NotFinite as error:
                raise DivergedError(_divergence(settings, epoch, str(error), checkpoint)) from None
            if after_epoch is not None:
                after_epoch(model)
                model.train()
            if checkpoint is not None:
                write_checkpoint(checkpoint, settings, model, optimizer, epoch + 1)
            if on_epoch is not None:
                on_epoch(EpochReport(epoch + 1, loss))
    return model.eval()


class _NotFinite(Exception):
    """What is not finite, and what it is instead."""


def _divergence(settings: TrainingSettings, epoch: int, what: str, checkpoint: Path | None) -> str:
    kept = ""
    if checkpoint is not None and epoch:
        kept = f"; the checkpoint of epoch {epoch} is kept in {checkpoint}"
    return (
        f"training must keep the loss finite, but {what} in epoch {epoch + 1} of {settings.epochs}; choose a "
        f"learning rate below {settings.learning_rate:g}{kept}."
    )


def _train_epoch(
    settings: TrainingSettings,
    epoch: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    on_batch: Callable[[int], None] | None,
) -> float:
    """Trains for one epoch, counted from 0, and returns the mean training loss."""
    # Distinct for all (seed, epoch): the seeds of two runs differ by more than any number of epochs (at most 10^6).
    epoch_seed = settings.seed * 1_000_003 + epoch
    generator = torch.Generator().manual_seed(epoch_seed)
    order = torch.randperm(len(images), generator=generator)
    batches = math.ceil(len(images) / settings.batch_size)
    total_loss = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(epoch_seed)  # dropout draws from the global generator
        for step, indices in enumerate(torch.split(order, settings.batch_size)):
            progress = (epoch * batches + step) / (settings.epochs * batches)
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(settings, progress)
            batch = augment(images[indices], settings, generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bfloat16"):
                outputs = _outputs(model, batch.to(memory_format=_layout(settings)), first=epoch == step == 0)
            targets = labels[indices]
            loss = functional.cross_entropy(outputs.float(), targets, label_smoothing=settings.label_smoothing)
            if not bool(loss.isfinite()):
                raise _NotFinite(f"it is {float(loss.detach())}")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
                raise _NotFinite("a weight is nan or inf")
            total_loss += float(loss.detach()) * len(indices)
            if on_batch is not None:
                on_batch(epoch * len(images) + min((step + 1) * settings.batch_size, len(images)))
    return total_loss / len(images)


def _outputs(model: nn.Module, batch: torch.Tensor, *, first: bool) -> torch.Tensor:
    try:
        outputs: torch.Tensor = model(batch)
    except NotANumberError:
        if first:  # nothing has been trained yet: the images or weights were wrong before
            raise
        raise _NotFinite("an activation is nan") from None
    return outputs


def _layout(settings: TrainingSettings) -> torch.memory_format:
    return torch.channels_last if settings.channels_last else torch.contiguous_format


def _optimizer(settings: TrainingSettings, model: nn.Module) -> torch.optim.Optimizer:
    parameters, rate, decay = model.parameters(), settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=0.9, nesterov=True)


def _learning_rate(settings: TrainingSettings, progress: float) -> float:
    """The learning rate after the fraction `progress` of all steps.

    With the peak r and the warm-up fraction w:

        r p / w                                        for p < w, a linear rise
        r (1 + cos(pi (p - w) / (1 - w))) / 2          for p >= w, half a cosine down to 0
    """
    if progress < settings.warmup:
        return settings.learning_rate * progress / settings.warmup
    decay = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * decay))
