"""Gate-exact convolution and its gradients on arrays: the geometry around `circuits.engine`'s gathered products.

Every output is a float32 sum of gate-exact products from +0, in an order that the function states, whatever the batch
split and the number of threads. Padding contributes products with +0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits import Design
from circuits.engine.matrix_products.element_places import Places
from circuits.engine.matrix_products.gathering import gathered_matmul

Array = NDArray[np.float32]
Offsets = NDArray[np.int64]
Pair = tuple[int, int]
_POSITIONS_A_CALL = 1 << 17
"""Output positions whose offsets are held at a time: 2 MB."""
_KEPT_POSITIONS = 256
"""Output positions up to which offsets are kept for the next call."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a convolution visits its images: (vertical, horizontal) pairs; `padding`: zeros at top, bottom, left, right.

    The shapes that go with it must fit; torch's modules have checked them.
    """

    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def output(self, image: Pair, kernel: Pair) -> Pair:
        """Height and width of the output for `image` and `kernel` heights and widths."""
        top, bottom, left, right = self.padding
        spans = (image[0] + top + bottom, image[1] + left + right)
        height, width = (
            (span - step * (size - 1) - 1) // stride + 1
            for span, step, size, stride in zip(spans, self.dilation, kernel, self.stride, strict=True)
        )
        return height, width


def convolve(design: Design, x: Array, weight: Array, geometry: Geometry, *, threads: int | None = None) -> Array:
    """float32 [B, N, OH, OW] from x [B, C, H, W] (activations) and weight [N, C / groups, KH, KW], without bias.

    Products: x times weight. Order: ascending (input channel of the group, kernel row, kernel column).
    """
    groups, filters = geometry.groups, len(weight)
    out_height, out_width = geometry.output((x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3]))
    x = _padded(x, geometry.padding)
    out = np.empty((len(x), filters, out_height, out_width), dtype=np.float32)
    if not out.size:
        return out

    rows = np.ascontiguousarray(weight.reshape(groups, filters // groups, -1), dtype=np.float32)
    for part, result in _parts(x, out, out_height * out_width):
        places = _kept_places if len(part) * out_height * out_width <= _KEPT_POSITIONS else _places
        for group, of_group in enumerate(places(part.shape, result.shape, weight.shape, geometry)):
            gathered_matmul(design, part, rows[group], result, of_group, threads=threads)
    return out


def _places(
    image: tuple[int, ...], out: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry
) -> Iterator[Places]:
    """Where each group of a convolution finds its elements, from the shapes of padded images, outputs and weights."""
    batch, channels, height, width = image
    _, filters, out_height, out_width = out
    inputs, outputs = weight[1], filters // geometry.groups
    step = _taps(inputs, (height, width), (weight[2], weight[3]), geometry.dilation)
    corner = _grid(np.arange(out_height) * geometry.stride[0] * width, np.arange(out_width) * geometry.stride[1])
    position = np.arange(out_height * out_width)
    b = np.arange(batch)
    for group in range(geometry.groups):
        x_at = _grid((b * channels + group * inputs) * height * width, corner)
        out_at = _grid((b * filters + group * outputs) * len(position), position)
        yield Places(x_at, step, out_at, len(position))


@lru_cache(maxsize=64)
def _kept_places(*shapes: Any) -> tuple[Places, ...]:
    """The same, kept: few products take less time than their places."""
    return tuple(_places(*shapes))


def input_gradient(
    design: Design, gradient: Array, weight: Array, image: Pair, geometry: Geometry, *, threads: int | None = None
) -> Array:
    """float32 [B, C, H, W], `image` = (H, W): the loss's gradient by x from that by the output, [B, N, OH, OW].

    Products: gradient times weight. Order: ascending (filter of the group, kernel row, kernel column) over the kernel
    places that meet the position; where they fall outside the output, a product with +0.
    """
    filters, inputs, kernel_height, kernel_width = weight.shape
    groups, outputs = geometry.groups, filters // geometry.groups
    batch, channels = len(gradient), inputs * groups
    top, _, left, _ = geometry.padding
    out = np.zeros((batch, channels, *image), dtype=np.float32)
    if not out.size or not gradient.size:
        return out

    # Positions of equal residue modulo the stride meet the same kernel places: one product of matrices a residue.
    vertical = _residues(image[0], top, kernel_height, geometry.stride[0], geometry.dilation[0])
    horizontal = _residues(image[1], left, kernel_width, geometry.stride[1], geometry.dilation[1])
    above, below = _margins(vertical, gradient.shape[2])
    before, after = _margins(horizontal, gradient.shape[3])
    gradient = _padded(gradient, (above, below, before, after))
    height, width = gradient.shape[2:]
    kernels = weight.reshape(groups, outputs, inputs, kernel_height, kernel_width).swapaxes(1, 2)
    channel = np.arange(outputs) * height * width
    for part, result in _parts(gradient, out, image[0] * image[1]):
        b = np.arange(len(part))
        for rows in vertical:
            for columns in horizontal:
                step = _grid(channel, (np.array(rows.sources) + above) * width, np.array(columns.sources) + before)
                taken = kernels[..., rows.taps, :][..., columns.taps]
                corner = _grid(np.arange(rows.count) * width, np.arange(columns.count))
                pixels = _grid(
                    (np.arange(rows.count) * geometry.stride[0] + rows.first) * image[1],
                    np.arange(columns.count) * geometry.stride[1] + columns.first,
                )
                for group in range(groups):
                    places = Places(
                        _grid((b * filters + group * outputs) * height * width, corner),
                        step,
                        _grid((b * channels + group * inputs) * image[0] * image[1], pixels),
                        image[0] * image[1],
                    )
                    rows_of_group = np.ascontiguousarray(taken[group].reshape(inputs, -1), dtype=np.float32)
                    gathered_matmul(design, part, rows_of_group, result, places, threads=threads)
    return out


def weight_gradient(
    design: Design, x: Array, gradient: Array, kernel: Pair, geometry: Geometry, *, threads: int | None = None
) -> Array:
    """float32 [N, C / groups, KH, KW], `kernel` = (KH, KW): the loss's gradient by the weight from that by the output.

    Products: x times gradient. Order: ascending (image, output row, output column).
    """
    groups = geometry.groups
    filters, (out_height, out_width) = gradient.shape[1], gradient.shape[2:]
    x = _padded(x, geometry.padding)
    batch, channels, height, width = x.shape
    inputs, outputs = channels // groups, filters // groups
    out = np.zeros((filters, inputs, *kernel), dtype=np.float32)
    if not out.size or not gradient.size:
        return out
    taps = _taps(inputs, (height, width), kernel, geometry.dilation)
    step = _grid(
        np.arange(batch) * channels * height * width,
        np.arange(out_height) * geometry.stride[0] * width,
        np.arange(out_width) * geometry.stride[1],
    )
    rows = np.ascontiguousarray(gradient.swapaxes(0, 1).reshape(groups, outputs, -1), dtype=np.float32)
    for group in range(groups):
        out_at = group * outputs * len(taps) + np.arange(len(taps))
        places = Places(group * inputs * height * width + taps, step, out_at, len(taps))
        gathered_matmul(design, x, rows[group], out, places, threads=threads)
    return out


@dataclass(frozen=True)
class _Residue:
    """Image positions first, first + stride, ... (`count` of them) along one axis, which meet the kernel places `taps`;
    the first meets taps[k] at output place sources[k], the next one at sources[k] + 1, and so on."""

    first: int
    count: int
    taps: list[int]
    sources: list[int]


def _residues(size: int, padding: int, kernel: int, stride: int, dilation: int) -> list[_Residue]:
    found = []
    for first in range(min(stride, size)):
        taps = [tap for tap in range(kernel) if (first + padding - tap * dilation) % stride == 0]
        if taps:
            sources = [(first + padding - tap * dilation) // stride for tap in taps]
            found.append(_Residue(first, len(range(first, size, stride)), taps, sources))
    return found


def _margins(residues: list[_Residue], size: int) -> Pair:
    """Places before and after an axis of `size` that the residues reach."""
    before = max((-min(entry.sources) for entry in residues), default=0)
    after = max((max(entry.sources) + entry.count - size for entry in residues), default=0)
    return max(before, 0), max(after, 0)


def _padded(x: Array, padding: tuple[int, int, int, int]) -> Array:
    top, bottom, left, right = padding
    if not any(padding):
        return np.ascontiguousarray(x, dtype=np.float32)
    batch, channels, height, width = x.shape
    padded = np.zeros((batch, channels, height + top + bottom, width + left + right), dtype=np.float32)
    padded[:, :, top : top + height, left : left + width] = x
    return padded


def _parts(x: Array, out: Array, positions: int) -> list[tuple[Array, Array]]:
    """Runs of images of x and out."""
    images = max(1, _POSITIONS_A_CALL // positions)
    return [(x[first : first + images], out[first : first + images]) for first in range(0, len(x), images)]


def _taps(inputs: int, image: Pair, kernel: Pair, dilation: Pair) -> Offsets:
    """Offsets of (channel, kernel row, kernel column) from a corner of the padded image."""
    height, width = image
    return _grid(
        np.arange(inputs) * height * width,
        np.arange(kernel[0]) * dilation[0] * width,
        np.arange(kernel[1]) * dilation[1],
    )


def _grid(first: Offsets, *others: Offsets) -> Offsets:
    """All sums of one entry of each array, flat, the last varying fastest."""
    total = first
    for array in others:
        total = (total[:, None] + array).ravel()
    return total
