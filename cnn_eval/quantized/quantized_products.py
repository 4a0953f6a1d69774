"""The products of a quantised layer: activations and weights become codes, and codes are multiplied and added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from circuits import Design
from circuits.engine.multiplier_circuit import code_dtype
from cnn_eval.layers.convolution import Geometry
from cnn_eval.layers.exact_products import ExactProducts
from cnn_eval.layers.layer_products import Gradients, Needed, Products, Tensor
from cnn_eval.quantized.accumulators import Accumulator, OverflowCount, saturating_sums
from cnn_eval.quantized.grid import Grid
from cnn_eval.quantized.integer_sums import exact_sums, exact_tensor_sums, padded_codes, with_zero_points
from cnn_eval.quantized.schemes.scheme import Scheme, direct_sums

__all__ = ["CodeOperands", "QuantizedProducts"]

Array = NDArray[Any]
_EXACT = ExactProducts()


class CodeOperands(Protocol):
    """What products ask of their layer: how operands become codes, and the accumulator, whose overflows they count in
    `overflows`."""

    bits: tuple[int, int]
    accumulator: Accumulator | None
    overflows: OverflowCount | None

    @property
    def code_scheme(self) -> Scheme: ...

    @property
    def input_grid(self) -> Grid: ...

    @property
    def weight_grid(self) -> Grid: ...


@dataclass(frozen=True, eq=False)
class QuantizedProducts(Products):
    """Codes multiplied through `design` by the engine's `method`, or exactly where it is None.

    Codes and sums are integers and exact; then  y = float32(S) * (s_x s_w) + bias  in float32, with S the sum that
    `cnn_eval.quantized.integer_sums` derives. Gradients are straight-through: those of the layer with exact products
    of the rounded operands, and 0 where an operand is clamped.
    """

    layer: CodeOperands
    design: Design | None = None
    method: str = "auto"

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
        scale = self.layer.input_grid.scale * self.layer.weight_grid.scale
        sums = self.sums(x, weight, geometry).to(torch.float32)
        out = sums.mul_(scale if geometry is None else scale[:, None, None])
        if bias is not None:
            out += bias if geometry is None else bias[:, None, None]
        return out

    def sums(self, x: Tensor, weight: Tensor, geometry: Geometry | None) -> Tensor:
        """S of float operands, integers in int32, int64, float32 or float64: [B, N, OH, OW] or [M, N]."""
        inputs, weights = self.layer.input_grid, self.layer.weight_grid
        if self.design is None and self.layer.accumulator is None:
            return exact_tensor_sums(inputs.centred(x), weights.centred(weight), geometry)
        x_codes, w_codes = inputs.codes(x), weights.codes(weight)
        sums = self._sums_on_device(x_codes, w_codes, geometry)
        if not self.layer.code_scheme.affine:
            return sums
        return with_zero_points(sums, x_codes, w_codes, geometry, int(inputs.zero), weights.zero)

    def _sums_on_device(self, x_codes: Tensor, w_codes: Tensor, geometry: Geometry | None) -> Tensor:
        """The sums where the codes are: on a CUDA device where its kernels serve the scheme, else by way of the CPU."""
        if x_codes.is_cuda and self.design is not None and self.layer.accumulator is None:
            scheme = self.layer.code_scheme
            if scheme.sums is direct_sums:
                # The engine takes tensors on a device as it takes arrays.
                x: Any = x_codes.to(_torch_dtype(self._dtype(0)))
                w: Any = w_codes.to(_torch_dtype(self._dtype(1)))
                on_device: Any = direct_sums(
                    self.design, x, w, geometry, int(self.layer.input_grid.zero), self.method, 1
                )
                return torch.as_tensor(on_device)
        x_array, w_array = self._array(x_codes.cpu(), 0), self._array(w_codes.cpu(), 1)
        return torch.from_numpy(self._sums_of_codes(x_array, w_array, geometry)).to(x_codes.device)

    def _sums_of_codes(self, x: Array, w: Array, geometry: Geometry | None) -> Array:
        """The sums of products of codes, as the accumulator holds them."""
        scheme, padding_code = self.layer.code_scheme, int(self.layer.input_grid.zero)
        accumulator = self.layer.accumulator
        negative = scheme.codes(self.layer.bits[0])[0] < 0
        if accumulator is not None and accumulator.overflow == "saturate":
            limited, overflowed = saturating_sums(
                self._product, x, w, geometry, padding_code=padding_code, limits=accumulator.limits(signed=negative)
            )
            return self._counted(limited, overflowed)
        if self.design is None:
            sums = exact_sums(padded_codes(x, geometry, padding_code)[0], w, padded_codes(x, geometry, 0)[1])
        else:
            sums = scheme.sums(self.design, x, w, geometry, padding_code, self.method, torch.get_num_threads())
        if accumulator is None:
            return sums
        wrapped = accumulator.wrapped(sums, signed=negative)
        return self._counted(wrapped, int((wrapped != sums).sum()))

    def _counted(self, sums: Array, overflowed: int) -> Array:
        if self.layer.overflows is not None:
            self.layer.overflows.add(overflowed, sums.size)
        return sums

    def _product(self, x: Array, w: Array) -> Array:
        if self.design is None:
            return np.asarray(x.astype(np.int64) * w)
        return self.layer.code_scheme.product(self.design, x, w)

    def _array(self, codes: Tensor, operand: int) -> Array:
        return codes.numpy().astype(self._dtype(operand))

    def _dtype(self, operand: int) -> DTypeLike:
        scheme, bits = self.layer.code_scheme, self.layer.bits[operand]
        # Codes that are operands as they stand take the engine's dtype; others are signed and one bit wider.
        negative = scheme.codes(bits)[0] < 0
        return code_dtype(bits, scheme.signed) if scheme.signed == negative else code_dtype(bits + 1, True)

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, needed: Needed
    ) -> Gradients:
        inputs, weights = self.layer.input_grid, self.layer.weight_grid
        #   y = sum of x^ w^  with the rounded x^ = (q_x - z_x) s_x:   dy/dx = w^  where x is not clamped
        x_rounded = inputs.centred(x) * inputs.scale
        w_rounded = weights.centred(weight) * weights.along(weights.scale, weight)
        by_x, by_weight = _EXACT.gradients(gradient, x_rounded, w_rounded, geometry, needed)
        return masked_gradients(self.layer, by_x, by_weight, x, weight)


def _torch_dtype(dtype: DTypeLike) -> torch.dtype:
    found: torch.dtype = getattr(torch, np.dtype(dtype).name)
    return found


def masked_gradients(
    layer: CodeOperands, by_x: Tensor | None, by_weight: Tensor | None, x: Tensor, weight: Tensor
) -> Gradients:
    """The gradients, 0 where the operand is clamped to the ends of its codes."""
    if by_x is not None:
        by_x = by_x * layer.input_grid.inside(x)
    if by_weight is not None:
        by_weight = by_weight * layer.weight_grid.inside(weight)
    return by_x, by_weight
