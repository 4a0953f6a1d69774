"""The controls of robustness studies: exact networks with other weights, which have no noise in them at all.

What a control does as well as an approximate network is no effect of noisy arithmetic. For the flat `axfpm` array the
control with powers of two is an identity: it computes the same function. For other designs the matched control has
exact products and, in each layer, the design's mean gain.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from circuits import DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.approximate_layers import approximate_layers
from cnn_eval.layers.exact_products import ExactProducts
from cnn_eval.layers.replaceable_layers import LAYERS
from cnn_eval.models.inference import evaluation_mode

__all__ = ["CONTROL", "CONTROL_NOTE", "matched_control", "power_of_two_control"]

CONTROL = "control"
"""What tables, plots and records call the network of `power_of_two_control`."""
CONTROL_NOTE = f"{CONTROL}: the exact network with the layers' weights rounded up to powers of two"
"""The explanation of the name, for headings."""


def power_of_two_control(model: nn.Module, *, layers: str = "conv") -> nn.Module:
    """A copy of `model`, computed exactly, in which each weight w of its `layers` is sign(w) * 2**(floor(log2|w|) + 1).

    The flat `axfpm` array multiplies by just that weight: its mantissa product is twice the activation's mantissa,
    whatever the weight's. So this network does what a defence by `axfpm` does, without any noise that depends on the
    input; a defence that does no better than the control owes nothing to noise. Biases stay; zeros and subnormal
    weights become zero. `layers`: "conv", "linear" or "all". Raises DesignError where no layer would change.
    """
    if layers not in LAYERS:
        raise unknown_name("choice of layers", layers, LAYERS)
    kinds: tuple[type[nn.Module], ...] = {
        "conv": (nn.Conv2d,),
        "linear": (nn.Linear,),
        "all": (nn.Conv2d, nn.Linear),
    }[layers]
    result = copy.deepcopy(model)
    changed = [module for module in result.modules() if isinstance(module, kinds)]
    if not changed:
        raise DesignError(f"the model must have a layer to change, but layers={layers!r} finds none; choose others.")
    with torch.no_grad():
        for module in changed:
            weight = module.get_parameter("weight")
            _, exponent = torch.frexp(weight)  # |w| = m * 2**exponent, 1/2 <= m < 1
            rounded = torch.ldexp(weight.sign(), exponent)
            weight.copy_(torch.where(weight.abs() < torch.finfo(weight.dtype).tiny, 0.0, rounded))
    return result


def matched_control(model: nn.Module, approximated: nn.Module, images: torch.Tensor) -> nn.Module:
    """A copy of `model`, computed exactly, whose layers have the mean gain of the same layers of `approximated`.

    The gain of a layer compares the sums y that the design makes of its inputs with the exact sums t of the same
    inputs, biases left out, over all values that `images` (float32 [N, C, H, W]) give in a run of `approximated`:

        g = sum(y t) / sum(t t),   which minimises sum (y - g t)^2

    The layer's weights are multiplied by g; biases stay. `approximated`: made by `approximate` from `model`. Raises
    DesignError where it has no approximate layer, images are missing, or a gain is not finite.
    """
    layers = approximate_layers(approximated)
    if not layers or not len(images):
        raise DesignError(
            f"a matched control needs approximate layers and images, but got {len(layers)} layers and {len(images)} "
            "images; use approximate first and give some images."
        )
    gains = _gains(approximated, images)
    result = copy.deepcopy(model)
    with torch.no_grad():
        for name, gain in gains.items():
            if not gain > 0 or gain == float("inf"):
                raise DesignError(f"the gain of layer {name} must be positive and finite, but is {gain}; check images.")
            result.get_submodule(name).get_parameter("weight").mul_(gain)
    return result


def _gains(approximated: nn.Module, images: torch.Tensor) -> dict[str, float]:
    """Layer name -> the least-squares gain of its sums over exact ones."""
    network = copy.deepcopy(approximated)
    totals: dict[str, list[float]] = {}
    for name, layer in approximate_layers(network).items():
        exact = copy.deepcopy(layer)
        exact.design, exact.recording, exact.products = None, None, ExactProducts()

        def hook(
            module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor, name: str = name, exact: nn.Module = exact
        ) -> None:
            bias: torch.Tensor | None = getattr(module, "bias", None)
            offset = 0.0 if bias is None else bias.reshape(-1, *[1] * (output.ndim - 2))
            y, t = ((values - offset).double() for values in (output, exact(*inputs)))
            total = totals.setdefault(name, [0.0, 0.0])
            total[0] += float((y * t).sum())
            total[1] += float((t * t).sum())

        layer.register_forward_hook(hook)
    with evaluation_mode(network), torch.no_grad():
        network(images)
    return {name: over / by if by else float("nan") for name, (over, by) in totals.items()}
