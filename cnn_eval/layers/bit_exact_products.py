"""Bit-accurate products: every product is the one that the gates of the design's circuit give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import Parameter

from circuits import Design
from circuits.engine.float_operations import matmul
from circuits.engine.matrix_products.product_methods import PreparedRows, choose_method, find_method
from cnn_eval.layers.convolution import Geometry, convolve, input_gradient, weight_gradient
from cnn_eval.layers.layer_products import Gradients, Needed, Products, Tensor

__all__ = ["BitExactProducts"]

_MOST_PREPARED = 16
"""Shapes of x for which a layer keeps what is prepared."""


@dataclass(frozen=True)
class BitExactProducts(Products):
    """Products of the design's gates, each with the operand order of the hardware, first operand first.

    `method`: how they are computed, a name in `product_methods.METHODS`, which changes the speed and no bit. Raises
    DesignError for a design that the method does not serve.

    Every output is a float32 sum that starts at +0 and adds the products in this order:

        output               x * weight           ascending (channel, kernel row, kernel column), or k
        gradient by x        gradient * weight    ascending (filter, kernel row, kernel column), or n
        gradient by weight   x * gradient         ascending (image, row, column), or m

    Hence the result does not depend on the batch, nor on the number of threads, which is torch.get_num_threads(), nor
    on whether the tensors are on the CPU or on a CUDA device.
    """

    design: Design
    method: str = "gate"
    # Kept here because finding it by the design takes as long as part of a tiny layer's products.
    _prepared: dict[tuple[torch.Size, int], PreparedRows | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        choose_method(self.design, self.method)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and other processes prepare their own: compiled functions cannot be copied.
        return type(self), (self.design, self.method)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        if geometry is None:
            prepared = None if x.is_cuda else self._prepared_rows(x.shape, weight.shape[0])
            if prepared is not None and _is_plain(x) and _is_plain(weight) and (bias is None or _is_plain(bias)):
                # A tiny layer takes less time than NumPy needs to make views of its operands.
                out = x.new_empty(x.shape[0], weight.shape[0])
                bias_address = None if bias is None else bias.data_ptr()
                prepared.run(x.data_ptr(), weight.data_ptr(), bias_address, out.data_ptr(), torch.get_num_threads())
                return out
            out = self._matmul(x, weight.T)
        else:
            out = self._call(convolve, x, weight, geometry)
        # The bias is added last and exactly; both ways above therefore agree bit by bit.
        if bias is not None:
            out += bias if geometry is None else bias[:, None, None]
        return out

    def _prepared_rows(self, shape: torch.Size, columns: int) -> PreparedRows | None:
        """What `ProductMethod.prepare_rows` gives for x of that shape."""
        key = shape, columns
        if key not in self._prepared:
            if len(self._prepared) >= _MOST_PREPARED:
                self._prepared.clear()
            self._prepared[key] = find_method(self.method).prepare_rows(self.design, shape[0], shape[1], columns)
        return self._prepared[key]

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        if geometry is None:
            by_x = self._matmul(gradient, weight) if needed[0] else None
            return by_x, self._matmul(x.T, gradient).T if needed[1] else None
        image, kernel = (x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3])
        by_x = self._call(input_gradient, gradient, weight, image, geometry) if needed[0] else None
        return by_x, self._call(weight_gradient, x, gradient, kernel, geometry) if needed[1] else None

    def _matmul(self, x: Tensor, w: Tensor) -> Tensor:
        # A sum of no products is +0; the kernels ask for K >= 1.
        if not x.shape[1]:
            return x.new_zeros(len(x), w.shape[1])
        return self._call(matmul, x, w)

    def _call(self, function: Callable[..., Any], x: Tensor, w: Tensor, *options: Any) -> Tensor:
        if x.is_cuda:
            on_device: Tensor = function(self.design, x.detach(), w.detach(), *options, method=self.method)
            return on_device
        arrays = (x.detach().numpy(), w.detach().numpy())
        threads = torch.get_num_threads()
        return torch.from_numpy(function(self.design, *arrays, *options, method=self.method, threads=threads))


def _is_plain(tensor: Tensor) -> bool:
    """Whether a float32 tensor on the CPU is exactly its memory: contiguous, nothing lazy, no user's tensor class."""
    kind = type(tensor)
    # A view with the negative bit set has memory of the opposite sign; subclasses may compute their values on access.
    return (kind is Tensor or kind is Parameter) and tensor.is_contiguous() and not tensor.is_neg()
