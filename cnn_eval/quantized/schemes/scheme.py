"""What a quantisation scheme decides: the codes, how real values are scaled to them, how codes go through a design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from circuits import Design, matmul
from cnn_eval.layers.convolution import Geometry, convolve

Array = NDArray[Any]
Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A quantisation scheme. To add one, write a module here with `SCHEME` and a line in `SCHEMES`.

    `signed`: whether its designs are two's complement. `affine`: whether the real 0 may have another code than 0.
    `codes(bits)`: the least and the greatest code. `scales(low, high, bits)`: (scale float32, zero point int32) for
    real values from `low` to `high`, float32 tensors of one shape; a range without values gets the scale 1.
    `product(design, x, w)`: the elementwise product of codes, int64. `sums(...)`: its sums over a layer; see
    `integer_sums.design_sums`.
    """

    name: str
    signed: bool
    affine: bool
    codes: Callable[[int], tuple[int, int]]
    scales: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
    product: Callable[[Design, Array, Array], Array]
    sums: Callable[[Design, Array, Array, Geometry | None, int, str, int], Array]


def symmetric_scales(low: Tensor, high: Tensor, greatest: int) -> tuple[Tensor, Tensor]:
    """The scale that gives the largest magnitude the code `greatest`, with the zero point 0."""
    magnitude = torch.maximum(low.abs(), high.abs())
    scale = torch.where(magnitude > 0, magnitude / greatest, 1.0)
    return _representable(scale), torch.zeros_like(scale, dtype=torch.int32)


def affine_scales(low: Tensor, high: Tensor, greatest: int) -> tuple[Tensor, Tensor]:
    """The scale and zero point that spread `low` to `high` over the codes 0 to `greatest`; the real 0 is a code."""
    # The range must hold 0, or the zero point would not be a code and padding could not be represented.
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _representable(torch.where(high > low, (high - low) / greatest, 1.0))
    return scale, torch.round(-low / scale).clamp(0, greatest).to(torch.int32)


def _representable(scale: Tensor) -> Tensor:
    # A subnormal scale would turn into 0 or lose its precision where values are divided by it.
    return torch.where(scale >= torch.finfo(torch.float32).tiny, scale, 1.0)


def direct_product(design: Design, x: Array, w: Array) -> Array:
    """The design's products of codes that are its operands as they stand, int64."""
    return design.multiply_integers(x, w).astype(np.int64)


def direct_sums(
    design: Design, x: Array, w: Array, geometry: Geometry | None, padding_code: int, method: str, threads: int
) -> Array:
    """Sums of products of codes that are the design's operands as they stand."""
    sums: Array = (
        matmul(design, x, w.T, method=method, threads=threads)
        if geometry is None
        else convolve(design, x, w, geometry, method=method, padding_code=padding_code, threads=threads)
    )
    return sums
