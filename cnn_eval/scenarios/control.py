"""The control of every robustness study: an exact network with other weights, which has no noise in it at all."""

from __future__ import annotations

import copy

import torch
from torch import nn

from circuits import DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.replaceable_layers import LAYERS

__all__ = ["CONTROL", "CONTROL_NOTE", "power_of_two_control"]

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
