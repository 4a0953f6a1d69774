"""Sensitivity of a network to a multiplier, layer by layer: what is lost when one layer alone is approximate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from circuits import Design, DesignError
from cnn_eval.layers.approximation import approximate
from cnn_eval.layers.replaceable_layers import check_layers, layer_kinds, survey
from cnn_eval.measure.network_accuracy import AccuracyResult, difference
from cnn_eval.models.inference import evaluation_mode, logits
from cnn_eval.quantized.quantized_layers import layers_of_integers

__all__ = ["LayerSensitivity", "Sensitivity", "measure_sensitivity", "products_per_image", "replaceable_products"]


@dataclass(frozen=True)
class LayerSensitivity:
    """What the network does with this layer alone through the design.

    `products` of the layer for one image, padding included. `accuracy_change` is the accuracy minus that of the exact
    network, with its 95 % interval for paired samples; `loss_change` that of the mean cross-entropy, in nats.
    """

    layer: str
    kind: str
    products: int
    accuracy: AccuracyResult
    accuracy_change: float
    interval: tuple[float, float]
    loss_change: float


@dataclass(frozen=True)
class Sensitivity:
    """`exact`: the network with exact products, whose mean cross-entropy is `loss`. `layers`: the most sensitive layer
    first, by accuracy and then by cross-entropy. `together`: all of these layers through the design."""

    exact: AccuracyResult
    loss: float
    layers: Sequence[LayerSensitivity]
    together: LayerSensitivity


def measure_sensitivity(
    model: nn.Module,
    design: Design,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    layers: str = "all",
    compute: str = "auto",
    on_layer: Callable[[str], None] | None = None,
) -> Sensitivity:
    """Sends each layer of `model` through `design` alone, on images float32 [N, C, H, W] with labels int64 [N].

    `model`: a float network for float designs, or one that `quantize` made for integer designs; layers that stay float
    in the latter are left out. `layers`, `compute`: see `approximate`. `on_layer` is told the name of each layer that
    has been measured. Raises DesignError where the design does not fit or no layer is left.
    """
    counts = replaceable_products(model, images, layers=layers)
    places = survey(model)[0]
    exact, exact_loss = _measured(model, images, labels)

    def through(names: Sequence[str], label: str) -> LayerSensitivity:
        network = approximate(model, dict.fromkeys(names, design), compute=compute)
        accuracy, loss = _measured(network, images, labels)
        change, interval = difference(accuracy, exact)
        kind = type(places[names[0]]).__name__.removeprefix("Quantized") if len(names) == 1 else ""
        products = sum(counts[name] for name in names)
        if on_layer is not None:
            on_layer(label)
        return LayerSensitivity(label, kind, products, accuracy, change, interval, loss - exact_loss)

    alone = [through([name], name) for name in counts]
    alone.sort(key=lambda row: (row.accuracy_change, -row.loss_change))
    return Sensitivity(exact, exact_loss, alone, through(list(counts), "all of these"))


def replaceable_products(model: nn.Module, images: torch.Tensor, *, layers: str = "all") -> dict[str, int]:
    """`products_per_image` of the layers that `approximate(model, ..., layers=layers)` replaces, where they run.

    Layers that stay float in a quantised `model` are left out. Raises DesignError where no layer is left.
    """
    check_layers(layers)
    kinds, integers = layer_kinds(layers), layers_of_integers(model)
    counts = products_per_image(model, images)
    names = [
        name
        for name, layer in survey(model)[0].items()
        if name in counts and isinstance(layer, kinds) and (not integers or name in integers)
    ]
    if not names:
        raise DesignError(f"the model must have a layer to replace, but layers={layers!r} leave none; choose others.")
    return {name: counts[name] for name in names}


def products_per_image(model: nn.Module, images: torch.Tensor) -> dict[str, int]:
    """Layer name -> products that the Conv2d or Linear, approximate or not, computes for one image [C, H, W], with
    those of padding.

    Layers that do not run are left out; a layer that runs several times counts each time. Runs the first of `images`.
    """
    names: dict[nn.Module, str] = {
        layer: name for name, layer in model.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
    counts: dict[str, int] = {}

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        assert isinstance(layer.weight, torch.Tensor)
        # Every output value is a sum over one filter.
        products = output.numel() * layer.weight[0].numel()
        counts[names[layer]] = counts.get(names[layer], 0) + products

    with ExitStack() as stack:
        for layer in names:
            stack.callback(layer.register_forward_hook(count).remove)
        stack.enter_context(evaluation_mode(model))
        stack.enter_context(torch.no_grad())
        model(images[:1])
    return {name: counts[name] for name in names.values() if name in counts}


def _measured(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[AccuracyResult, float]:
    values = logits(model, images)
    return AccuracyResult((values.argmax(1) == labels).numpy()), float(functional.cross_entropy(values, labels))
