"""What every way of computing a layer's products offers, and how autograd uses it.

All tensors are float32 on the CPU. Convolution: x [B, C, H, W], weight [N, C / groups, KH, KW], output [B, N, OH, OW],
with a `Geometry`. Linear layer: x [M, K], weight [N, K], output [M, N], with the geometry None.

A convolution is a product of matrices: every output position (b, i, j) gathers the K = (C / groups) KH KW inputs under
the kernel into one row, every filter is one column of K weights, and

    out[b, n, i, j] = sum over k of row[b, i, j][k] * weight[n][k]        k ascending over (channel, row, column)

Its gradients are products of matrices too, with other rows and columns:

    d/dx[b, c, p, q]      = sum over (n, kernel row, kernel column) of gradient[b, n, i, j] * weight[n, c, kernel place]
    d/dweight[n, c, r, s] = sum over (b, i, j) of x[b, c, place] * gradient[b, n, i, j]

Float32 addition is not associative, so every way of computing states the order of its sums; "bit-accurate" means the
same products and the same order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from cnn_eval.layers.convolution import Geometry

__all__ = ["Gradients", "Needed", "Products", "Tensor", "apply_products"]

Tensor = torch.Tensor
Needed = tuple[bool, bool]
"""Whether the gradients with respect to x and to the weight are needed."""
Gradients = tuple[Tensor | None, Tensor | None]
"""Gradients with respect to x and to the weight; None where not needed."""


class Products(ABC):
    """One way to compute the products of a layer, forward and for the gradients.

    To add a way, write a module with a subclass whose constructor takes the design, raises DesignError for a design
    that it cannot serve, and register it in `cnn_eval.layers.product_kinds`.
    """

    @abstractmethod
    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        """The layer's output, bias included."""

    @abstractmethod
    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        """The loss's gradients with respect to x and weight from `gradient`, that with respect to the output."""


def apply_products(
    x: Tensor, weight: Tensor, bias: Tensor | None, forward: Products, backward: Products, geometry: Geometry | None
) -> Tensor:
    """The product of `forward`, differentiable once, with the gradients of `backward`; the bias's gradient is exact."""
    # Evaluation needs no graph; skipping the Function saves its overhead, which counts for small layers.
    if not torch.is_grad_enabled():
        return forward.product(x, weight, bias, geometry)
    out: Tensor = _LayerFunction.apply(x, weight, bias, forward, backward, geometry)  # type: ignore[no-untyped-call]
    return out


class _LayerFunction(torch.autograd.Function):
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
        ctx.how = backward, geometry
        return forward.product(x, weight, bias, geometry)

    @staticmethod
    # The gradients come from kernels that autograd cannot see: a second derivative would silently be wrong.
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        backward, geometry = ctx.how
        needed = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        by_x, by_weight = backward.gradients(gradient, x, weight, geometry, needed)
        by_bias = gradient.sum((0,) if geometry is None else (0, 2, 3)) if ctx.needs_input_grad[2] else None
        return by_x, by_weight, by_bias, None, None, None
