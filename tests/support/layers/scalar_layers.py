"""Layers and their gradients as scalar loops over products, written from DESIGN 3, for the tests of approximate layers.

Geometry comes from nested loops over output positions. All operand pairs go through `multiply`; each output is summed
in float32, one product after the other, starting from +0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

Multiply = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ordered_sums(terms: dict[tuple[int, ...], list[tuple[float, float]]], shape: tuple[int, ...], multiply: Multiply):
    """float32 `shape`: at each index the sum of its operand pairs' products in list order."""
    pairs = [pair for entries in terms.values() for pair in entries]
    operands = np.array(pairs, dtype=np.float32).reshape(-1, 2)
    products = iter(multiply(operands[:, 0], operands[:, 1]))
    out = np.zeros(shape, dtype=np.float32)
    with np.errstate(all="ignore"):
        for index, entries in terms.items():
            total = np.float32(0)
            for _ in entries:
                total = np.float32(total + next(products))
            out[index] = total
    return out


def pad(image: np.ndarray, sides: tuple[int, int, int, int], mode: str) -> np.ndarray:
    """`image` [C, H, W] with `sides` (top, bottom, left, right) padded; every position is looked up on its own."""
    top, bottom, left, right = sides
    channels, height, width = image.shape

    def source(place: int, size: int) -> int | None:
        if 0 <= place < size:
            return place
        if mode == "zeros":
            return None
        if mode == "circular":
            return place % size
        if mode == "replicate":
            return min(max(place, 0), size - 1)
        return -place if place < 0 else 2 * (size - 1) - place  # reflect

    out = np.zeros((channels, height + top + bottom, width + left + right), dtype=np.float32)
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            at = source(row - top, height), source(column - left, width)
            if None not in at:
                out[:, row, column] = image[:, at[0], at[1]]
    return out


def sides(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Padding at top, bottom, left, right, as torch documents it: "same" puts the odd row or column at the end."""
    if layer.padding == "valid":
        return 0, 0, 0, 0
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return totals[0] // 2, totals[0] - totals[0] // 2, totals[1] // 2, totals[1] - totals[1] // 2
    return layer.padding[0], layer.padding[0], layer.padding[1], layer.padding[1]


def places(layer: nn.Conv2d, padded: np.ndarray):
    """Every (filter, output row, output column, channel, padded row, padded column, weight index), ascending."""
    filters, inputs, kernel_height, kernel_width = layer.weight.shape
    height = (padded.shape[1] - layer.dilation[0] * (kernel_height - 1) - 1) // layer.stride[0] + 1
    width = (padded.shape[2] - layer.dilation[1] * (kernel_width - 1) - 1) // layer.stride[1] + 1
    for n in range(filters):
        group = n // (filters // layer.groups)
        for row in range(height):
            for column in range(width):
                for c in range(inputs):
                    for i in range(kernel_height):
                        for j in range(kernel_width):
                            y = row * layer.stride[0] + i * layer.dilation[0]
                            x = column * layer.stride[1] + j * layer.dilation[1]
                            yield n, row, column, group * inputs + c, y, x, (n, c, i, j)


def convolution(layer: nn.Conv2d, images: np.ndarray, multiply: Multiply) -> np.ndarray:
    """Outputs without bias: activation times weight, ascending (channel, kernel row, kernel column)."""
    weight = layer.weight.detach().numpy()
    outputs = []
    for image in images:
        padded = pad(image, sides(layer), layer.padding_mode)
        terms: dict[tuple[int, ...], list[tuple[float, float]]] = {}
        for n, row, column, c, y, x, at in places(layer, padded):
            terms.setdefault((n, row, column), []).append((padded[c, y, x], weight[at]))
        shape = tuple(np.max(list(terms), axis=0) + 1)
        outputs.append(ordered_sums(terms, shape, multiply))
    return np.stack(outputs)


def convolution_gradients(
    layer: nn.Conv2d, images: np.ndarray, gradient: np.ndarray, multiply: Multiply
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients by the images (zero padding): gradient times weight, ascending (filter, kernel row, kernel column).
    By the weight: activation times gradient, ascending (image, output row, output column)."""
    weight = layer.weight.detach().numpy()
    top, _, left, _ = sides(layer)
    height, width = images.shape[2:]
    by_image: dict[tuple[int, ...], list[tuple[tuple[int, ...], tuple[float, float]]]] = {}
    by_weight: dict[tuple[int, ...], list[tuple[tuple[int, ...], tuple[float, float]]]] = {}
    for b, image in enumerate(images):
        for n, row, column, c, y, x, at in places(layer, pad(image, sides(layer), "zeros")):
            inside = 0 <= y - top < height and 0 <= x - left < width
            g = gradient[b, n, row, column]
            if inside:
                by_image.setdefault((b, c, y - top, x - left), []).append(((n, *at[2:]), (g, weight[at])))
            activation = image[c, y - top, x - left] if inside else 0.0
            by_weight.setdefault(at, []).append(((b, row, column), (activation, g)))

    def sums(terms, shape):
        return ordered_sums({k: [pair for _, pair in sorted(v)] for k, v in terms.items()}, shape, multiply)

    return sums(by_image, images.shape), sums(by_weight, weight.shape)


def linear(x: np.ndarray, weight: np.ndarray, multiply: Multiply) -> np.ndarray:
    """x [M, K], weight [N, K] -> [M, N], ascending k."""
    terms = {
        (m, n): [(x[m, k], weight[n, k]) for k in range(x.shape[1])] for m in range(len(x)) for n in range(len(weight))
    }
    return ordered_sums(terms, (len(x), len(weight)), multiply)
