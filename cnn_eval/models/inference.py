"""Runs networks: logits and classes of images, in batches and without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cnn_eval.support.verified_files import DataError

__all__ = ["BATCH_SIZE", "check_logits", "evaluation_mode", "logits", "predict"]

BATCH_SIZE = 500
"""Default number of images in one forward pass."""


def logits(model: nn.Module, images: torch.Tensor, *, batch_size: int = BATCH_SIZE) -> torch.Tensor:
    """Logits [N, classes] for images [N, C, H, W], computed in batches, without gradients, in the model's current mode.

    Raises DataError if the model returns anything else.
    """
    with torch.no_grad():
        return torch.cat([check_logits(model(batch)) for batch in torch.split(images, batch_size)])


def predict(model: nn.Module, images: torch.Tensor, *, batch_size: int = BATCH_SIZE) -> torch.Tensor:
    """The most likely class of each image, int64 [N]; the lowest class wins a tie."""
    return logits(model, images, batch_size=batch_size).argmax(1)


def check_logits(output: Any) -> torch.Tensor:
    """Returns the output of a model if it is a tensor [N, classes]; raises DataError otherwise."""
    if not isinstance(output, torch.Tensor) or output.dim() != 2:
        shape = list(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        raise DataError(f"the model must return logits [N, classes], but returned {shape}; adapt it.")
    return output


@contextmanager
def evaluation_mode(*models: nn.Module) -> Iterator[None]:
    """Temporarily puts the models in evaluation mode with parameter gradients disabled; restores both on exit."""
    modules = {module for model in models for module in model.modules()}
    training_flags = [(module, module.training) for module in modules]
    trainable = {parameter for model in models for parameter in model.parameters() if parameter.requires_grad}
    try:
        for model in models:
            model.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module, training in training_flags:
            module.training = training
