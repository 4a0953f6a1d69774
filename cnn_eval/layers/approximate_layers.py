"""Convolution and linear layers that multiply through a design; made by `cnn_eval.layers.approximation.approximate`.

A layer is torch's own with two objects that compute: `products` the output, `gradients` what flows back. It keeps
torch's parameters, hooks and state dict, so that a network can be saved, loaded and trained as before.

- Nothing is computed from the weight when the layer is made: pruning, parametrisations and training may replace it.
- The bias is added after the products, exactly, as an accelerator's accumulator would.
- Padding other than zeros copies values before the products, which then see a larger image.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from torch._compile import _disable_dynamo
from torch.nn import functional

from circuits import Design, DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.convolution import Geometry, Pair
from cnn_eval.layers.layer_products import Products, apply_products
from cnn_eval.layers.product_kinds import ComputedBy, products_for
from cnn_eval.layers.recording import Recording

__all__ = ["ApproximateConv2d", "ApproximateLayer", "ApproximateLinear", "approximate_layer", "approximate_layers"]


CORRECTION = ("recovery_gain", "recovery_bias")
"""Buffers of a layer after `recover`: float32, [N] for one value a channel or [1] for one in all."""


class ApproximateLayer(nn.Module):
    """The attributes that `approximate` sets and the computation that both kinds of layer share.

    `design` is None only in a quantised layer that multiplies exactly. `compute` and `backward` name how products and
    gradients are computed; `products` and `gradients` compute them. A layer that `recover` has corrected has the
    buffers CORRECTION: its output is then multiplied by the gain, and the bias is added.
    """

    design: Design | None
    compute: str
    backward: str
    products: Products
    gradients: Products
    recording: Recording | None
    weight: torch.Tensor
    bias: Any  # nn.Parameter or None, declared by the two layers

    def _apply_products(self, x: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
        # torch.compile cannot trace the kernels, so under it the products are a break in the graph. Importing
        # torch._dynamo takes longer than most networks run; if nobody has imported it, nothing is being compiled.
        if "torch._dynamo" in sys.modules:
            return _compute_outside_graphs(self, x, geometry)
        return self._compute(x, geometry)

    def _compute(self, x: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
        weight: torch.Tensor | None
        bias: torch.Tensor | None
        try:
            # Read `_parameters` directly: nn.Module.__getattr__ would cost as much as a small layer.
            weight, bias = self._parameters["weight"], self._parameters["bias"]
        except KeyError:  # pruning or a parametrisation has replaced them
            weight, bias = self.weight, self.bias
        assert weight is not None
        _check_operands(x, weight, bias)
        if self.recording is not None:
            self.recording.add(self.operands(x), weight)
        out = apply_products(x, weight, bias, self.products, self.gradients, geometry)
        # Exact products need no correction: the buffers of a quantised layer are for its designs.
        return out if "recovery_gain" not in self._buffers or self.design is None else self._corrected(out, geometry)

    def _corrected(self, out: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
        gain, bias = (self.get_buffer(name) for name in CORRECTION)
        if geometry is not None:
            gain, bias = gain[:, None, None], bias[:, None, None]
        return out * gain + bias

    def operands(self, x: torch.Tensor) -> torch.Tensor:
        """The first operands that the multiplier gets for activations x."""
        return x

    def weight_operands(self) -> torch.Tensor:
        """The second operands, of the shape of the weight."""
        return self.weight.detach()

    @property
    def padding_operand(self) -> int:
        """The first operand that stands for padding."""
        return 0

    def computed_by(self, name: str, design: Design, *, compute: str, backward: str) -> ComputedBy:
        """What computes the products of this layer, called `name`, through `design`; raises as `products_for` does."""
        return products_for(name, design, compute=compute, backward=backward)

    def use(self, design: Design, computed_by: ComputedBy, backward: str) -> None:
        """Sends the products through `design`."""
        self.design = design
        self.compute, self.products, self.gradients = computed_by
        self.backward = backward

    def follow(self, designs: Collection[Design]) -> None:
        """Tells an exact layer of a quantised network which designs other layers got."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        # A correction that the tensors bring along; without one, a layer keeps its own.
        for name in CORRECTION:
            if prefix + name in state_dict:
                self.register_buffer(name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *others)

    def extra_repr(self) -> str:
        label = "exact" if self.design is None else self.design.label
        choices = f"design={label}, compute={self.compute}, backward={self.backward}"
        return f"{super().extra_repr()}, {choices}"


def _compute(layer: ApproximateLayer, x: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
    return layer._compute(x, geometry)


_compute_outside_graphs = _disable_dynamo(_compute)
"""`_compute` with torch.compile switched off; like torch.compiler.disable, but imports torch._dynamo when called."""


class ApproximateConv2d(ApproximateLayer, nn.Conv2d):
    """A Conv2d whose products go through `design`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] or [C, H, W] -> [B, N, OH, OW] or [N, OH, OW], float32."""
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise DesignError(
                f"activations must be [B, {self.in_channels}, H, W] or [{self.in_channels}, H, W], but are "
                f"{list(x.shape)}; reshape them."
            )
        top, bottom, left, right = _padding_of_sides(self)
        # Reflected, replicated and circular padding copy values, so that products only see a larger image.
        if self.padding_mode != "zeros" and any((top, bottom, left, right)):
            x = functional.pad(x, (left, right, top, bottom), mode=self.padding_mode)
        geometry = self.geometry
        image = (x.shape[-2], x.shape[-1])
        if min(geometry.output(image, _pair(self.kernel_size))) < 1:
            raise DesignError(
                f"images must cover the kernel, {self.kernel_size} with dilation {self.dilation} and padding "
                f"{self.padding}, but are {image}; give larger ones."
            )
        out = self._apply_products(x if x.dim() == 4 else x[None], geometry)
        return out if x.dim() == 4 else out[0]

    @property
    def geometry(self) -> Geometry:
        """The geometry of the products: with a padding mode other than zeros, images are padded beforehand."""
        return Geometry(
            stride=_pair(self.stride),
            padding=_padding_of_sides(self) if self.padding_mode == "zeros" else (0, 0, 0, 0),
            dilation=_pair(self.dilation),
            groups=self.groups,
        )


class ApproximateLinear(ApproximateLayer, nn.Linear):
    """A Linear layer whose products go through `design`."""

    geometry = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., K] -> [..., N], float32."""
        shape = x.shape
        if not shape or shape[-1] != self.in_features:
            raise DesignError(f"activations must be [..., {self.in_features}], but are {list(x.shape)}; reshape them.")
        if len(shape) == 2:
            return self._apply_products(x, None)
        out = self._apply_products(x.reshape(-1, self.in_features), None)
        return out.reshape(*shape[:-1], self.out_features)


def approximate_layer(model: nn.Module, name: str) -> ApproximateConv2d | ApproximateLinear:
    """The approximate layer of that name. Raises UnknownNameError if there is none."""
    layers = {
        layer_name: module
        for layer_name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, (ApproximateConv2d, ApproximateLinear))
    }
    if name not in layers:
        raise unknown_name("approximate layer", name, layers)
    return layers[name]


def approximate_layers(model: nn.Module) -> dict[str, ApproximateConv2d | ApproximateLinear]:
    """The layers that multiply through a design, by name, each once."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (ApproximateConv2d, ApproximateLinear)) and module.design is not None
    }


def _check_operands(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
    # The common case first: asking tensors for their devices takes as long as a tiny layer.
    single = torch.float32
    if (
        x.dtype is single
        and weight.dtype is single
        and (bias is None or (bias.dtype is single and bias.is_cpu))
        and x.is_cpu
        and weight.is_cpu
        and not torch.is_autocast_enabled("cpu")
    ):
        return
    for name, tensor in (("activations", x), ("weights", weight), ("biases", bias)):
        if tensor is not None and (tensor.dtype is not torch.float32 or not (tensor.is_cpu or tensor.is_cuda)):
            raise DesignError(
                f"{name} must be float32 on the CPU or a CUDA device, but are {tensor.dtype} on {tensor.device}; "
                "convert them."
            )
        if tensor is not None and tensor.device != x.device:
            raise DesignError(
                f"{name} must be where the activations are, {x.device}, but are on {tensor.device}; move them."
            )
    if torch.is_autocast_enabled(x.device.type):
        kind = "the CPU" if x.is_cpu else "CUDA"
        raise DesignError(f"autocast must be off, but is on for {kind}; approximate layers compute in float32.")


def _pair(value: Any) -> Pair:
    vertical, horizontal = value
    return int(vertical), int(horizontal)


def _padding_of_sides(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Padding at the top, bottom, left and right."""
    if layer.padding == "valid":
        return 0, 0, 0, 0
    if layer.padding == "same":
        # As torch does: dilation * (size - 1) in total, and an odd one goes to the bottom or right.
        sides = []
        for dilation, size in zip(_pair(layer.dilation), _pair(layer.kernel_size), strict=True):
            total = dilation * (size - 1)
            sides += [total // 2, total - total // 2]
        return sides[0], sides[1], sides[2], sides[3]
    vertical, horizontal = _pair(layer.padding)
    return vertical, vertical, horizontal, horizontal
