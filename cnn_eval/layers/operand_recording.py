"""Draws operand pairs that a layer's multiplier received, for error metrics on the user's own data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from circuits import DesignError
from cnn_eval.layers.approximate_layers import approximate_layer
from cnn_eval.layers.convolution import Geometry, Pair

__all__ = ["recorded_operands"]

MAXIMUM_SAMPLES = 10**8

Array = NDArray[Any]


def recorded_operands(model: nn.Module, layer: str, *, samples: int = 1 << 20, seed: int = 0) -> tuple[Array, Array]:
    """Draws `samples` operand pairs (activations, weights), [samples] each, with replacement and uniformly from the
    products that the layer named `layer` computed since its weights last changed (padding included).

    float32; for integer designs the codes that the multiplier gets, int32 (of sign_magnitude, magnitudes).

    `model` comes from `approximate(..., record=True)` and has been run on the images of interest. Pass the pairs to
    `circuits.error_metrics(design, operands=...)`. A layer that received more than RECORD_BYTES of activations has kept
    a uniform sample of its images, and the pairs are drawn from that. Raises DesignError if nothing was recorded.
    """
    if not 1 <= samples <= MAXIMUM_SAMPLES:
        raise DesignError(
            f"1 <= samples <= {MAXIMUM_SAMPLES} must hold, but got {samples}; choose a number in between."
        )
    recorded = approximate_layer(model, layer)
    recording = recorded.recording
    if recording is None:
        raise DesignError(f"layer {layer} does not record its operands; make the model with approximate(record=True).")
    if not recording.images:
        raise DesignError(f"layer {layer} has recorded no operands yet; run the model first.")
    if recorded.weight._version != recording.weight_version:
        raise DesignError(
            f"the weights of layer {layer} changed after its operands were recorded; run the model again."
        )
    generator = np.random.default_rng(seed)
    weight = recorded.weight_operands().detach().cpu().numpy()
    if recorded.geometry is None:
        return _linear_pairs(recording.images, weight, samples, generator)
    padding = recorded.padding_operand
    return _convolution_pairs(recording.images, weight, recorded.geometry, padding, samples, generator)


def _linear_pairs(
    rows: list[torch.Tensor], weight: Array, samples: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Pairs (x[m, k], weight[n, k]) for random m, n, k."""
    x = torch.stack(rows).numpy()
    # A linear layer multiplies every x[m, k] by every weight[n, k]: m, n and k are independent.
    k = generator.integers(weight.shape[1], size=samples)
    m = generator.integers(len(x), size=samples)
    n = generator.integers(len(weight), size=samples)
    return x[m, k], weight[n, k]


def _convolution_pairs(
    images: list[torch.Tensor],
    weight: Array,
    geometry: Geometry,
    padding: int,
    samples: int,
    generator: np.random.Generator,
) -> tuple[Array, Array]:
    """Pairs for random image, output position, filter n and kernel place (c, i, j).

    An image with more output positions is drawn more often, in proportion. The activation of output position
    (row, column) is, in the padded image,

        x[n // (filters / groups) * inputs + c, row * stride + i * dilation, column * stride + j * dilation]
    """
    filters, inputs, *kernel = weight.shape
    taps: Pair = (kernel[0], kernel[1])
    shapes = [geometry.output((image.shape[1], image.shape[2]), taps) for image in images]
    # The number of products of an image is its positions times a constant, so that positions weigh the images.
    positions = np.array([height * width for height, width in shapes])
    # Sorted, so that each image is padded once.
    image_of = np.sort(generator.choice(len(images), size=samples, p=positions / positions.sum()))
    n, c = generator.integers(filters, size=samples), generator.integers(inputs, size=samples)
    i, j = generator.integers(taps[0], size=samples), generator.integers(taps[1], size=samples)
    position = generator.integers(positions[image_of])
    x = np.empty(samples, dtype=weight.dtype)
    top, bottom, left, right = geometry.padding
    starts = np.searchsorted(image_of, np.arange(len(images) + 1))
    for image, (_, width), first, end in zip(images, shapes, starts[:-1], starts[1:], strict=True):
        of_image = slice(int(first), int(end))
        padded = functional.pad(image, (left, right, top, bottom), value=padding).numpy()
        row, column = position[of_image] // width, position[of_image] % width
        x[of_image] = padded[
            n[of_image] // (filters // geometry.groups) * inputs + c[of_image],
            row * geometry.stride[0] + i[of_image] * geometry.dilation[0],
            column * geometry.stride[1] + j[of_image] * geometry.dilation[1],
        ]
    return x, weight[n, c, i, j]
