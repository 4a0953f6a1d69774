"""Exact float32 products by torch, in torch's own order of summation.

As gradients of an approximate layer these are the straight-through estimator: the forward pass computes
y = sum of m(x_k, w_k) with the approximate product m, and the backward pass pretends m(x, w) = x w, so

    dL/dx_k = dL/dy * w_k        dL/dw_k = dL/dy * x_k

Source: Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
Computation", arXiv 1308.3432.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from cnn_eval.layers.convolution import Geometry
from cnn_eval.layers.layer_products import Gradients, Needed, Products, Tensor

__all__ = ["ExactProducts"]


class ExactProducts(Products):
    """Float32 products and sums by torch."""

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        if geometry is None:
            return functional.linear(x, weight, bias)
        # conv2d pads both sides alike; a Geometry may not ("same" with an even kernel).
        padded = _pad(x, geometry)
        return functional.conv2d(padded, weight, bias, geometry.stride, 0, geometry.dilation, geometry.groups)

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        by_x = self.gradient_by_x(gradient, x, weight, geometry) if needed[0] else None
        return by_x, self.gradient_by_weight(gradient, x, weight, geometry) if needed[1] else None

    def gradient_by_x(self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None) -> Tensor:
        """The gradient with respect to x, of which only the shape matters."""
        if geometry is None:
            return gradient @ weight
        padded = _pad(x, geometry)
        by_padded = _convolution_backward(gradient, padded, weight, geometry, operand=0)
        # The gradient of padding drops the border.
        top, bottom, left, right = geometry.padding
        height, width = padded.shape[-2:]
        return by_padded[..., top : height - bottom, left : width - right]

    def gradient_by_weight(self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None) -> Tensor:
        """The gradient with respect to the weight, of which only the shape matters."""
        if geometry is None:
            return gradient.T @ x
        return _convolution_backward(gradient, _pad(x, geometry), weight, geometry, operand=1)


def _convolution_backward(gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, *, operand: int) -> Tensor:
    """torch's gradient of the unpadded convolution with respect to x (operand 0) or the weight (operand 1)."""
    stride, dilation, groups = geometry.stride, geometry.dilation, geometry.groups
    mask = [operand == 0, operand == 1, False]
    gradients = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, (0, 0), dilation, False, (0, 0), groups, mask
    )
    by_operand: Tensor = gradients[operand]
    return by_operand


def _pad(x: Tensor, geometry: Geometry) -> Tensor:
    top, bottom, left, right = geometry.padding
    return functional.pad(x, (left, right, top, bottom)) if any(geometry.padding) else x
