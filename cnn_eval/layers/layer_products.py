"""How a layer's products are computed: exactly (torch), gate by gate, or lowered; forward and as gradients.

Tensors are float32 on the CPU. Convolution: x [B, C, H, W], weight [N, C / groups, KH, KW], output [B, N, OH, OW].
Linear (geometry None): x [M, K], weight [N, K], output [M, N].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from torch.nn import Parameter, functional

from circuits import Design
from circuits.engine.float_operations import matmul
from circuits.engine.matrix_products.narrow_matmul import prepared_rows
from cnn_eval.layers.convolution import Geometry, convolve, input_gradient, weight_gradient

Tensor = torch.Tensor
Wanted = tuple[bool, bool]
Gradients = tuple[Tensor | None, Tensor | None]


class Products(ABC):
    """A way to multiply matrices and convolve, with the gradients of that."""

    @abstractmethod
    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        """The layer's output, bias included."""

    @abstractmethod
    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, wanted: Wanted
    ) -> Gradients:
        """The loss's gradients by x and by weight, where `wanted`, from that by the output."""


class ExactProducts(Products):
    """Float32 products and sums by torch, in its order."""

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        if geometry is None:
            return functional.linear(x, weight, bias)
        padded = _pad(x, geometry)
        return functional.conv2d(padded, weight, bias, geometry.stride, 0, geometry.dilation, geometry.groups)

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, wanted: Wanted
    ) -> Gradients:
        by_x = self.by_x(gradient, x, weight, geometry) if wanted[0] else None
        return by_x, self.by_weight(gradient, x, weight, geometry) if wanted[1] else None

    def by_x(self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None) -> Tensor:
        """The gradient by x; of x only the shape is looked at."""
        if geometry is None:
            return gradient @ weight
        padded = _pad(x, geometry)
        result = _convolution_backward(gradient, padded, weight, geometry, wanted=0)
        top, bottom, left, right = geometry.padding
        height, width = padded.shape[-2:]
        return result[..., top : height - bottom, left : width - right]

    def by_weight(self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None) -> Tensor:
        """The gradient by the weight, of which only the shape is looked at."""
        if geometry is None:
            return gradient.T @ x
        return _convolution_backward(gradient, _pad(x, geometry), weight, geometry, wanted=1)


@dataclass(frozen=True)
class GateProducts(Products):
    """Products through the design's gates, each operand order as the hardware has it.

    Output: x times weight, ascending (channel, kernel row, kernel column) or k. Gradient by x: gradient times weight,
    ascending (filter, kernel row, kernel column) or n. Gradient by weight: x times gradient, ascending (image, row,
    column) or m. Sums are float32 from +0; threads: torch.get_num_threads().
    """

    design: Design

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        if geometry is None:
            (rows, depth), columns = x.shape, weight.shape[0]
            narrow = prepared_rows(self.design, rows, depth, columns)
            if narrow is not None and _in_order(x) and _in_order(weight) and (bias is None or _in_order(bias)):
                # The work of a tiny layer is less than that of NumPy's views on it.
                out = x.new_empty(rows, columns)
                added = None if bias is None else bias.data_ptr()
                narrow.run(x.data_ptr(), weight.data_ptr(), added, out.data_ptr(), torch.get_num_threads())
                return out
            out = self._matmul(x, weight.T)
        else:
            out = self._call(convolve, x, weight, geometry)
        if bias is not None:
            out += bias if geometry is None else bias[:, None, None]
        return out

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, wanted: Wanted
    ) -> Gradients:
        if geometry is None:
            by_x = self._matmul(gradient, weight) if wanted[0] else None
            return by_x, self._matmul(x.T, gradient).T if wanted[1] else None
        image, kernel = (x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3])
        by_x = self._call(input_gradient, gradient, weight, image, geometry) if wanted[0] else None
        return by_x, self._call(weight_gradient, x, gradient, kernel, geometry) if wanted[1] else None

    def _matmul(self, x: Tensor, w: Tensor) -> Tensor:
        if not x.shape[1]:
            return x.new_zeros(len(x), w.shape[1])
        return self._call(matmul, x, w)

    def _call(self, function: Callable[..., np.ndarray], x: Tensor, w: Tensor, *rest: Any) -> Tensor:
        arrays = (x.detach().numpy(), w.detach().numpy())
        return torch.from_numpy(function(self.design, *arrays, *rest, threads=torch.get_num_threads()))


def _in_order(tensor: Tensor) -> bool:
    """Whether a float32 tensor on the CPU is just its memory: in a row, nothing lazy, no class but torch's own."""
    kind = type(tensor)
    return (kind is Tensor or kind is Parameter) and tensor.is_contiguous() and not tensor.is_neg()


def apply(
    x: Tensor, weight: Tensor, bias: Tensor | None, forward: Products, backward: Products, geometry: Geometry | None
) -> Tensor:
    """`forward`'s product, differentiable once, with the gradients of `backward`; the bias's is exact."""
    if not torch.is_grad_enabled():
        return forward.product(x, weight, bias, geometry)
    result: Tensor = _Apply.apply(x, weight, bias, forward, backward, geometry)  # type: ignore[no-untyped-call]
    return result


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        forward: Products,
        backward: Products,
        geometry: Geometry | None,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rest = backward, geometry
        return forward.product(x, weight, bias, geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        backward, geometry = ctx.rest
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        by_x, by_weight = backward.gradients(gradient, x, weight, geometry, wanted)
        by_bias = gradient.sum((0,) if geometry is None else (0, 2, 3)) if ctx.needs_input_grad[2] else None
        return by_x, by_weight, by_bias, None, None, None


def _convolution_backward(gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, *, wanted: int) -> Tensor:
    """torch's gradient of the unpadded convolution by x (wanted=0) or by the weight (1)."""
    stride, dilation, groups = geometry.stride, geometry.dilation, geometry.groups
    mask = [wanted == 0, wanted == 1, False]
    results = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, (0, 0), dilation, False, (0, 0), groups, mask
    )
    result: Tensor = results[wanted]
    return result


def _pad(x: Tensor, geometry: Geometry) -> Tensor:
    top, bottom, left, right = geometry.padding
    return functional.pad(x, (left, right, top, bottom)) if any(geometry.padding) else x
