"""`finetune`: retrains an approximate network through its multipliers, with their products in the forward pass.

The weights that are trained are real numbers. In a quantised layer they become codes in every step, with the scales
that `quantize` found, so that a weight moves by a code once its steps add up to one; outside the range of the codes its
gradient is 0. Batch normalisation that was folded into such a layer is no longer trained. In a float network it is, on
the activations that the approximate layers give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from circuits import DesignError
from cnn_eval.data.image_checks import check_images
from cnn_eval.layers.approximate_layers import approximate_layers
from cnn_eval.layers.approximation import recomputed
from cnn_eval.models.training_loop import EpochReport, train_network
from cnn_eval.models.user_model import check_model
from cnn_eval.quantized.integer_gradients import TABLE_BITS
from cnn_eval.quantized.post_training import recalibrate
from cnn_eval.quantized.quantized_layers import layers_of_integers
from cnn_eval.retraining.finetune_settings import FinetuneSettings
from cnn_eval.support.verified_files import sha256, tensor_digest

__all__ = ["default_backward", "finetune"]


def finetune(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    settings: FinetuneSettings | None = None,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> nn.Module:
    """A retrained copy of `network`, in evaluation mode, with the same designs.

    `network`: made by `approximate`, with float or integer designs. `images` float32 [N, C, H, W] and `labels` int64
    [N]: training images. `settings`: `FinetuneSettings()` by default. A gain and bias of `recover` stay as they are.

    With `checkpoint` (.safetensors), the state is written there after every epoch, and a run that was killed continues
    from it, bit for bit as if it had not been. `on_epoch` gets (number, mean loss) after each epoch, `on_batch` the
    number of images processed so far.

    Raises DesignError or ValueError for what does not fit; DivergedError (a ValueError) once the loss or a weight is
    not finite, which leaves the checkpoint of the last whole epoch; DataError for a damaged checkpoint.
    """
    settings = settings or FinetuneSettings()
    if not approximate_layers(network):
        raise DesignError("the network to retrain must have approximate layers, but has none; use approximate first.")
    check_images(images, unit=False)
    if not len(images):
        raise DesignError("retraining needs images, but got none; give some.")
    check_model(network, images, labels)
    if settings.recalibrate > len(images):
        raise DesignError(
            f"recalibrate must be at most the number of training images, {len(images)}, but is "
            f"{settings.recalibrate}; choose fewer."
        )
    backward = settings.backward or default_backward(network)
    result = recomputed(network, backward=backward)
    settings = replace(settings, backward=backward, start=_fingerprint(network, images, labels))

    def take_scales(model: nn.Module) -> None:
        recalibrate(model, images[: settings.recalibrate])

    rescaled = settings.recalibrate and layers_of_integers(result)
    result = train_network(
        result,
        settings,
        images,
        labels,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
        on_batch=on_batch,
        after_epoch=take_scales if rescaled else None,
    )
    # What the network does for other gradients, such as those of an attack, is as before.
    for name, layer in approximate_layers(result).items():
        before = approximate_layers(network)[name]
        assert layer.design is not None
        choice = layer.computed_by(name, layer.design, compute=layer.compute, backward=before.backward)
        layer.use(layer.design, choice, before.backward)
    return result


def default_backward(network: nn.Module) -> str:
    """The gradient that suits the network's designs; see `FinetuneSettings`."""
    designs = [layer.design for layer in approximate_layers(network).values() if layer.design is not None]
    tabled = all(design.float_format is None and sum(design.shape) <= TABLE_BITS for design in designs)
    return "table1d" if tabled else "ste"


def _fingerprint(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> str:
    """Identifies weights, scales, designs and images."""
    designs = [f"{name} {layer.design.digest}" for name, layer in approximate_layers(network).items() if layer.design]
    codes = [f"{name} {layer.scheme} {layer.bits}" for name, layer in layers_of_integers(network).items()]
    tensors = tensor_digest(*network.state_dict().values(), images, labels)
    return sha256("\n".join([tensors, *designs, *codes]).encode())[:16]
