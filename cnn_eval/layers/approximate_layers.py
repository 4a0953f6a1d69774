"""Convolution and linear layers that multiply through a design; made by `cnn_eval.layers.approximation.approximate`."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn
from torch._compile import _disable_dynamo
from torch.nn import functional

from circuits import Design, DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.convolution import Geometry, Pair
from cnn_eval.layers.layer_products import Products, apply_products
from cnn_eval.layers.recording import Recording

__all__ = ["ApproximateConv2d", "ApproximateLinear", "approximate_layer"]


class _ApproximateLayer(nn.Module):
    """The attributes that `approximate` sets and the computation that both kinds of layer share.

    `compute` and `backward` name how products and gradients are computed; `products` and `gradients` compute them.
    """

    design: Design
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
            self.recording.add(x, weight)
        return apply_products(x, weight, bias, self.products, self.gradients, geometry)

    def extra_repr(self) -> str:
        choices = f"design={self.design.label}, compute={self.compute}, backward={self.backward}"
        return f"{super().extra_repr()}, {choices}"


def _compute(layer: _ApproximateLayer, x: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
    return layer._compute(x, geometry)


_compute_outside_graphs = _disable_dynamo(_compute)
"""`_compute` with torch.compile switched off; like torch.compiler.disable, but imports torch._dynamo when called."""


class ApproximateConv2d(_ApproximateLayer, nn.Conv2d):
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


class ApproximateLinear(_ApproximateLayer, nn.Linear):
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


def _check_operands(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
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
