"""Gate-exact convolution and linear products on arrays: the geometry around `circuits.engine`'s gathered products.

Every output is the float32 sum of its gate-exact products in ascending k = (input channel, kernel row, kernel column)
from +0, whatever the batch split and the number of threads. Padding contributes products with +0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuits import Design
from circuits.engine.floating import gathered_matmul

Array = NDArray[np.float32]
_POSITIONS_A_CALL = 1 << 17
"""Output positions whose offsets are held at a time: 2 MB."""


def convolve(
    design: Design,
    x: Array,
    weight: Array,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    threads: int | None = None,
) -> Array:
    """float32 [B, N, OH, OW] from x [B, C, H, W] (activations) and weight [N, C / groups, KH, KW], without bias.

    `padding`: zeros at the top, bottom, left, right. The shapes must fit (torch's modules have checked them).
    """
    top, bottom, left, right = padding
    if any(padding):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    x = np.ascontiguousarray(x, dtype=np.float32)
    batch, channels, height, width = x.shape
    filters, inputs, kernel_height, kernel_width = weight.shape
    out_height = (height - dilation[0] * (kernel_height - 1) - 1) // stride[0] + 1
    out_width = (width - dilation[1] * (kernel_width - 1) - 1) // stride[1] + 1
    out = np.empty((batch, filters, out_height, out_width), dtype=np.float32)
    if not out.size:
        return out

    step = _grid(
        (np.arange(inputs) * height * width, np.arange(kernel_height) * dilation[0] * width),
        np.arange(kernel_width) * dilation[1],
    )
    corner = _grid((np.arange(out_height) * stride[0] * width,), np.arange(out_width) * stride[1])
    position = np.arange(out_height * out_width)
    rows = np.ascontiguousarray(weight.reshape(groups, filters // groups, -1), dtype=np.float32)
    images = max(1, _POSITIONS_A_CALL // len(corner))
    for first in range(0, batch, images):
        part, result = x[first : first + images], out[first : first + images]
        image = np.arange(len(part))
        for group in range(groups):
            x_at = _grid((image * channels * height * width + group * inputs * height * width,), corner)
            out_at = _grid(((image * filters + group * (filters // groups)) * len(position),), position)
            gathered_matmul(design, part, x_at, step, rows[group], result, out_at, len(position), threads=threads)
    return out


def _grid(outer: tuple[NDArray[np.int64], ...], inner: NDArray[np.int64]) -> NDArray[np.int64]:
    """All sums of one entry of each array, flat, the last varying fastest."""
    total = outer[0]
    for array in (*outer[1:], inner):
        total = (total[:, None] + array).ravel()
    return total
