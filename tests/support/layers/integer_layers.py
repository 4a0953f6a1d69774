"""Quantised layers as scalar loops over integers, written from DESIGN 13 for the tests of integer networks.

Codes come from NumPy's own rounding, sums are Python integers, one product after the other in ascending k.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import scalar_layers
from multiplier_models import Model, every_pair, numbers
from torch import nn

from circuits import CELLS, Design

Product = Callable[[int, int], int]


def ama1_design(w: int, v: int, *, signed: bool) -> Design:
    """A ripple array of AMA1 cells, whose operands cannot be exchanged."""
    return Design(format=None, width=(w, v), signed=signed, placement="ama1", name="ama1 array")


@cache
def ama1_table(w: int, v: int, signed: bool) -> np.ndarray:
    """Products of `ama1_design`, int64 [2^w, 2^v], operands ascending, by the models in tests/support/multipliers."""
    x, y = every_pair(w, v, signed)
    model = Model(x, y, w, v, lambda row, column: CELLS["ama1"], signed=signed)
    table = numbers(model.product("ripple_array"), len(x)).astype(np.int64)
    if signed:
        table = np.where(table >= 1 << (w + v - 1), table - (1 << (w + v)), table)
    return table.reshape(1 << w, 1 << v)


def product_of(scheme: str, bits: tuple[int, int], *, exact: bool) -> Product:
    """The product m(a, b) of two codes; the scheme decides how signs are treated."""
    if exact:
        return lambda a, b: a * b
    signed = scheme == "int8"
    table = ama1_table(*bits, signed)
    offsets = tuple(1 << (width - 1) if signed else 0 for width in bits)
    if scheme == "sign_magnitude":
        return lambda a, b: (-1 if (a < 0) != (b < 0) else 1) * int(table[abs(a), abs(b)])
    return lambda a, b: int(table[a + offsets[0], b + offsets[1]])


def code_range(scheme: str, bits: int) -> tuple[int, int]:
    """The least and the greatest code of a scheme."""
    if scheme == "uint8":
        return 0, 2**bits - 1
    greatest = 2 ** (bits - 1) - 1 if scheme == "int8" else 2**bits - 1
    return -greatest, greatest


def codes(values: np.ndarray, scale: np.ndarray, zero: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """clamp(round_half_even(x / s) + z), the division in float32."""
    quotient = (np.asarray(values, dtype=np.float32) / np.asarray(scale, dtype=np.float32)).astype(np.float32)
    return np.clip(np.rint(quotient) + zero, *ends).astype(np.int64)


class Accumulated:
    """A sum of integers in a register of the range `limits`, which saturates or wraps around; exact without limits."""

    def __init__(self, limits: tuple[int, int] | None, *, saturates: bool) -> None:
        self.limits, self.saturates, self.total = limits, saturates, 0

    def add(self, value: int) -> None:
        self.total += value
        if self.limits is None:
            return
        low, high = self.limits
        if self.saturates:
            self.total = min(max(self.total, low), high)
        else:
            self.total = (self.total - low) % (high - low + 1) + low


def layer_sums(layer, image_values: np.ndarray, product: Product, *, limits=None, saturates: bool = False):
    """sum (m(q_x, q_w) - z_w q_x - z_x q_w + z_x z_w) of a quantised layer, int64 [B, N, OH, OW] or [M, N].

    Only the products m are added in the register of the range `limits`.
    """
    scheme = layer.scheme
    x_scale, x_zero = layer.input_scale.numpy(), int(layer.input_zero_point)
    w_scales, w_zeros = layer.weight_scale.numpy(), layer.weight_zero_point.numpy()
    weight = layer.weight.detach().numpy()
    axes = (-1, *[1] * (weight.ndim - 1))
    ends = [code_range(scheme, width) for width in layer.bits]
    w_codes = codes(weight, w_scales.reshape(axes), w_zeros.reshape(axes), ends[1])
    sums: dict[tuple[int, ...], Accumulated] = {}
    rest: dict[tuple[int, ...], int] = {}

    def add(at: tuple[int, ...], n: int, q_x: int, q_w: int) -> None:
        sums.setdefault(at, Accumulated(limits, saturates=saturates)).add(product(q_x, q_w))
        z_w = int(w_zeros[n])
        rest[at] = rest.get(at, 0) - z_w * q_x - x_zero * q_w + x_zero * z_w

    for b, values in enumerate(image_values):
        if isinstance(layer, nn.Conv2d):
            padded = scalar_layers.pad(values, scalar_layers.sides(layer), layer.padding_mode)
            x_codes = codes(padded, x_scale, x_zero, ends[0])
            for n, row, column, c, y, x, at in scalar_layers.places(layer, padded):
                add((b, n, row, column), n, int(x_codes[c, y, x]), int(w_codes[at]))
        else:
            x_codes = codes(values, x_scale, x_zero, ends[0])
            for n in range(len(weight)):
                for k in range(len(values)):
                    add((b, n), n, int(x_codes[k]), int(w_codes[n, k]))
    shape = tuple(np.max(list(sums), axis=0) + 1)
    out = np.zeros(shape, dtype=np.int64)
    for at, total in sums.items():
        out[at] = total.total + rest[at]
    return out


def layer_output(layer, sums: np.ndarray) -> np.ndarray:
    """float32(S) (s_x s_w) + bias, in float32."""
    scale = layer.input_scale.numpy() * layer.weight_scale.numpy()
    bias = np.zeros(len(scale), dtype=np.float32) if layer.bias is None else layer.bias.detach().numpy()
    axes = (-1, *[1] * (sums.ndim - 2))
    return sums.astype(np.float32) * scale.reshape(axes) + bias.reshape(axes)
