"""Bit-accurate convolution and its gradients on arrays, as products of gathered matrices.

`circuits.engine`'s `gathered_matmul` multiplies the rows of a matrix by a second one whose elements it gathers from an
array: element k of position m is array.flat[position[m] + step[k]]. A convolution has this form without any copy
(im2col) of the image, because the place of an input separates into a part that depends on the output position and a
part that depends on the kernel place. In the flattened padded image [B, C, H, W],

    offset of x[b, g C' + c, i S + r D, j S + s D]  =  position(b, i, j) + step(c, r, s)

    position(b, i, j) = ((b C + g C') H + i S) W + j S        output pixel (i, j) of image b, group g
    step(c, r, s)     = (c H + r D) W + s D                   channel c of the group's C', kernel place (r, s)

with stride S and dilation D (each with a vertical and a horizontal value). `Places` holds both arrays.

Arrays are NumPy's, or CUDA tensors of torch throughout, which are multiplied on their device with the same results.

Every output is a float32 sum that starts at +0 and adds the bit-accurate products in the order that the function
states. The order depends neither on how the batch is split nor on the number of threads. Padding contributes products
with +0, as in hardware that multiplies the padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits import Design
from circuits.engine.device.tensor_kinds import contiguous, empty, filled, on_cuda
from circuits.engine.matrix_products.element_places import Places, places_of_rows
from circuits.engine.matrix_products.gathering import gathered_matmul, padded_matmul
from circuits.engine.multiplier_circuit import sum_dtype
from circuits.engine.padding import padded

Array = Any
"""A NumPy array or a CUDA tensor."""
Offsets = NDArray[np.int64]
Pair = tuple[int, int]
_POSITIONS_PER_CALL = 1 << 17
"""Output positions whose offsets are held in memory at a time: 2 MB."""
_FEW_POSITIONS = 1 << 13
"""Up to so many output positions, the offsets of many shapes are kept for the next call; above, those of a few."""
_DEVICE_POSITIONS_PER_CALL = 1 << 19
"""The positions of a call on a device, which needs more of them to be busy: 8 MB."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a convolution moves over its images: pairs are (vertical, horizontal).

    `padding` is the number of zeros at the top, bottom, left and right. Shapes used with a geometry must fit; torch's
    modules have checked them.
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
            # A dilated kernel spans D (size - 1) + 1 places.
            (span - step * (size - 1) - 1) // stride + 1
            for span, step, size, stride in zip(spans, self.dilation, kernel, self.stride, strict=True)
        )
        return height, width


def convolve(
    design: Design,
    x: Array,
    weight: Array,
    geometry: Geometry,
    *,
    method: str = "auto",
    padding_code: int = 0,
    threads: int | None = None,
) -> Array:
    """The output [B, N, OH, OW] for x [B, C, H, W] and weight [N, C / groups, KH, KW], without bias.

    Products: x * weight. Order: ascending (input channel of the group, kernel row, kernel column). Float designs:
    float32. Integer designs: codes of the design's `code_dtype`, padded with `padding_code`, and exact sums of
    `sum_dtype`. `method`: see `gathering.gathered_matmul`.
    """
    filters = len(weight)
    out_height, out_width = geometry.output((x.shape[2], x.shape[3]), (weight.shape[2], weight.shape[3]))
    depth = weight.shape[1] * weight.shape[2] * weight.shape[3]
    dtype = np.dtype(np.float32) if design.float_format is not None else sum_dtype(design, depth)
    out = empty(x, (len(x), filters, out_height, out_width), dtype)
    if 0 in out.shape:
        return out

    rows = contiguous(weight.reshape(filters, depth))
    for images, results in _chunks(x, out, out_height * out_width):
        # A network repeats its layers' shapes from batch to batch, and attacks on a few images those of small batches.
        few = len(images) * out_height * out_width <= _FEW_POSITIONS
        places_of = _places_of_few if few else _places_of_many
        places = places_of(_padded_shape(images.shape, geometry.padding), results.shape, weight.shape, geometry)
        arguments = rows, results, places, geometry.padding, padding_code
        padded_matmul(design, images, *arguments, method=method, threads=threads)
    return out


def _padded_shape(image: tuple[int, ...], padding: tuple[int, int, int, int]) -> tuple[int, ...]:
    top, bottom, left, right = padding
    return *image[:2], image[2] + top + bottom, image[3] + left + right


def convolution_places(
    image: tuple[int, ...], out: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry
) -> Places:
    """Offsets of the inputs and outputs, from the shapes of padded images, outputs and weights."""
    batch, channels, height, width = image
    _, filters, out_height, out_width = out
    inputs, outputs = weight[1], filters // geometry.groups
    step = _taps(inputs, (height, width), (weight[2], weight[3]), geometry.dilation)
    #   position(b, i, j) = ((b C + g C') H + i S) W + j S,  split into image, group, and place in the image
    corner = _grid(np.arange(out_height) * geometry.stride[0] * width, np.arange(out_width) * geometry.stride[1])
    position = np.arange(out_height * out_width)
    b = np.arange(batch)
    return Places(
        _grid(b * channels * height * width, corner),
        step,
        _grid(b * filters * len(position), position),
        len(position),
        geometry.groups,
        inputs * height * width,
        outputs * len(position),
    )


_places_of_few = lru_cache(maxsize=64)(convolution_places)
"""`convolution_places`, cached, at most 64 times .2 MB: computing the offsets takes longer than a few products."""
_places_of_many = lru_cache(maxsize=12)(convolution_places)
"""The same of at most 12 times 3 MB, with what kernels keep beside the offsets."""


def places_of_convolution(
    image: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry | None
) -> tuple[Places, tuple[int, ...]]:
    """(places of the elements, shape of the output) for x [B, C, H, W], padded already, and weight [N, C / groups, KH,
    KW]; for x [M, K] and weight [N, K] with the geometry None."""
    if geometry is None:
        return places_of_rows(image[0], image[1], weight[0]), (image[0], weight[0])
    out = (image[0], weight[0], *geometry.output((image[2], image[3]), (weight[2], weight[3])))
    return convolution_places(image, out, weight, geometry), out


def input_gradient(
    design: Design,
    gradient: Array,
    weight: Array,
    image: Pair,
    geometry: Geometry,
    *,
    method: str = "auto",
    threads: int | None = None,
) -> Array:
    """The loss's gradient with respect to x, float32 [B, C, H, W] with `image` = (H, W).

    `gradient` is that with respect to the output, [B, N, OH, OW]. Products: gradient * weight. Order: ascending (filter
    of the group, kernel row, kernel column) over the kernel places that can meet the position; where they would meet it
    from outside the output, the product is with +0.

    Vertically (and likewise horizontally), output row i and kernel row r meet input row p if i S + r D = p + top. For
    a fixed p these are the r with (p + top - r D) divisible by S, the same for all p with the same residue modulo S.
    So each pair of residues is one product of matrices, with the kernel rows and columns that it meets.
    """
    filters, inputs, kernel_height, kernel_width = weight.shape
    groups, outputs = geometry.groups, filters // geometry.groups
    batch, channels = len(gradient), inputs * groups
    top, _, left, _ = geometry.padding
    # Positions that no kernel place meets keep +0, the sum of no products.
    out = filled(gradient, (batch, channels, *image), np.float32)
    if 0 in (*out.shape, *gradient.shape):
        return out

    vertical = _residues(image[0], top, kernel_height, geometry.stride[0], geometry.dilation[0])
    horizontal = _residues(image[1], left, kernel_width, geometry.stride[1], geometry.dilation[1])
    above, below = _margins(vertical, gradient.shape[2])
    before, after = _margins(horizontal, gradient.shape[3])
    # The padding stands for outputs that do not exist, so that all positions of a residue have the same steps.
    gradient = padded(gradient, (above, below, before, after), threads=threads)
    height, width = gradient.shape[2:]
    # [groups, inputs, outputs, KH, KW]: one row for each input channel, its places in the order of the sum.
    kernels = weight.reshape(groups, outputs, inputs, kernel_height, kernel_width).swapaxes(1, 2)
    channel = np.arange(outputs) * height * width
    for gradients, results in _chunks(gradient, out, image[0] * image[1]):
        b = np.arange(len(gradients))
        for rows in vertical:
            for columns in horizontal:
                # Position first + n S meets taps[k] from output sources[k] + n: the first part varies with the step,
                # n with the position.
                step = _grid(channel, (np.array(rows.sources) + above) * width, np.array(columns.sources) + before)
                sub_kernels = kernels[..., rows.taps, :][..., columns.taps]
                corner = _grid(np.arange(rows.count) * width, np.arange(columns.count))
                pixels = _grid(
                    (np.arange(rows.count) * geometry.stride[0] + rows.first) * image[1],
                    np.arange(columns.count) * geometry.stride[1] + columns.first,
                )
                places = Places(
                    _grid(b * filters * height * width, corner),
                    step,
                    _grid(b * channels * image[0] * image[1], pixels),
                    image[0] * image[1],
                    groups,
                    outputs * height * width,
                    inputs * image[0] * image[1],
                )
                matrix = contiguous(sub_kernels.reshape(groups * inputs, -1), np.float32)
                gathered_matmul(design, gradients, matrix, results, places, method=method, threads=threads)
    return out


def weight_gradient(
    design: Design,
    x: Array,
    gradient: Array,
    kernel: Pair,
    geometry: Geometry,
    *,
    method: str = "auto",
    threads: int | None = None,
) -> Array:
    """The loss's gradient with respect to the weight, float32 [N, C / groups, KH, KW] with `kernel` = (KH, KW).

    `gradient` is that with respect to the output, [B, N, OH, OW]. Products: x * gradient. Order: ascending (image,
    output row, output column). Positions and steps of the forward convolution change their roles here: the sum runs
    over output positions, and there is one result for each kernel place.
    """
    groups = geometry.groups
    filters, (out_height, out_width) = gradient.shape[1], gradient.shape[2:]
    x = padded(x, geometry.padding, threads=threads)
    batch, channels, height, width = x.shape
    inputs, outputs = channels // groups, filters // groups
    out = filled(x, (filters, inputs, *kernel), np.float32)
    if 0 in (*out.shape, *gradient.shape):
        return out
    # Here the kernel places are the positions, and the steps run over image, output row and output column.
    taps = _taps(inputs, (height, width), kernel, geometry.dilation)
    step = _grid(
        np.arange(batch) * channels * height * width,
        np.arange(out_height) * geometry.stride[0] * width,
        np.arange(out_width) * geometry.stride[1],
    )
    rows = contiguous(gradient.swapaxes(0, 1).reshape(groups * outputs, -1), np.float32)
    places = Places(taps, step, np.arange(len(taps)), len(taps), groups, inputs * height * width, outputs * len(taps))
    gathered_matmul(design, x, rows, out, places, method=method, threads=threads)
    return out


@dataclass(frozen=True)
class _Residue:
    """The `count` image positions first, first + stride, ... along one axis, which all meet the kernel places `taps`.

    The first position meets taps[k] from output position sources[k], the next one from sources[k] + 1, and so on.
    """

    first: int
    count: int
    taps: list[int]
    sources: list[int]


def _residues(size: int, padding: int, kernel: int, stride: int, dilation: int) -> list[_Residue]:
    residues = []
    for first in range(min(stride, size)):
        #   i S + r D = p + padding  has an integer i  <=>  S divides p + padding - r D;  the // below is then exact.
        taps = [tap for tap in range(kernel) if (first + padding - tap * dilation) % stride == 0]
        if taps:
            sources = [(first + padding - tap * dilation) // stride for tap in taps]
            residues.append(_Residue(first, len(range(first, size, stride)), taps, sources))
    return residues


def _margins(residues: list[_Residue], size: int) -> Pair:
    """How far the residues reach beyond an axis of `size`: (positions before it, positions after it)."""
    before = max((-min(residue.sources) for residue in residues), default=0)
    after = max((max(residue.sources) + residue.count - size for residue in residues), default=0)
    return max(before, 0), max(after, 0)


def _chunks(x: Array, out: Array, positions: int) -> list[tuple[Array, Array]]:
    """Consecutive images of x and out, with no more positions than a call should have unless one image has more."""
    images = max(1, (_DEVICE_POSITIONS_PER_CALL if on_cuda(x) else _POSITIONS_PER_CALL) // positions)
    return [(x[first : first + images], out[first : first + images]) for first in range(0, len(x), images)]


def _taps(inputs: int, image: Pair, kernel: Pair, dilation: Pair) -> Offsets:
    """Offsets of (channel, kernel row, kernel column) from the kernel's corner in the flattened padded image."""
    height, width = image
    return _grid(
        np.arange(inputs) * height * width,
        np.arange(kernel[0]) * dilation[0] * width,
        np.arange(kernel[1]) * dilation[1],
    )


def _grid(first: Offsets, *others: Offsets) -> Offsets:
    """All sums of one element from each array, flat, with the last array varying fastest."""
    total = first
    for array in others:
        total = (total[:, None] + array).ravel()
    return total
