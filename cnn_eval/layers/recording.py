"""Operands as a layer's multiplier met them, kept in bounded memory, for error metrics on the user's own data."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from circuits import DesignError
from cnn_eval.layers.convolution import Geometry, Pair

__all__ = ["RECORD_BYTES", "Recording", "recorded_operands"]

RECORD_BYTES = 64 << 20
"""Memory for the activations of one layer; beyond it a uniform sample of the images is kept."""
MAXIMUM_SAMPLES = 10**8

Array = NDArray[np.float32]


class Recording:
    """A layer's activations since its weights last changed: all images, or a uniform sample of them (reservoir,
    algorithm R, J. S. Vitter, ACM TOMS 11(1), 1985) within RECORD_BYTES. An image is [C, H, W] or a row [K]."""

    def __init__(self) -> None:
        self._start(0)

    def _start(self, version: int) -> None:
        self.images: list[torch.Tensor] = []
        self.seen = 0
        self.bytes = 0
        self.version = version
        self._generator = np.random.default_rng(0)

    def add(self, x: torch.Tensor, weight: torch.Tensor) -> None:
        """Keeps images of x [B, C, H, W] or rows of x [M, K] that met `weight`."""
        if weight._version != self.version:
            self._start(weight._version)
        for image in x.detach():
            self.seen += 1
            if self.bytes + _bytes(image) <= RECORD_BYTES or not self.images:
                self.images.append(image.clone())
                self.bytes += _bytes(image)
                continue
            place = int(self._generator.integers(self.seen))
            if place < len(self.images):
                self.bytes += _bytes(image) - _bytes(self.images[place])
                self.images[place] = image.clone()


def recorded_operands(model: nn.Module, layer: str, *, samples: int = 1 << 20, seed: int = 0) -> tuple[Array, Array]:
    """`samples` operand pairs (activations, weights), float32 [samples] each, drawn with replacement, uniformly over
    the products that the layer named `layer` computed since its weights last changed (padding included).

    `model`: from `approximate(..., record=True)`, run on the images of interest before. Give the pairs to
    `circuits.error_metrics(design, operands=...)`. Where the layer met more than RECORD_BYTES of activations, the draw
    is over a uniform sample of its images. Raises DesignError where nothing was recorded.
    """
    from cnn_eval.layers.approximation import approximate_layer

    if not 1 <= samples <= MAXIMUM_SAMPLES:
        raise DesignError(
            f"1 <= samples <= {MAXIMUM_SAMPLES} must hold, but got {samples}; choose a number in between."
        )
    found = approximate_layer(model, layer)
    recording, weight = found.recording, found.weight.detach()
    if recording is None:
        raise DesignError(f"layer {layer} must record, but does not; make the model with approximate(record=True).")
    if not recording.images:
        raise DesignError(f"layer {layer} must have met operands, but has met none; run the model first.")
    if found.weight._version != recording.version:
        raise DesignError(
            f"layer {layer} must keep the weights that it ran with, but they changed since; run the model again."
        )
    generator = np.random.default_rng(seed)
    draw = _convolution_pairs if found.geometry else _linear_pairs
    return draw(recording.images, weight.numpy(), found.geometry or Geometry(), samples, generator)


def _linear_pairs(
    images: list[torch.Tensor], weight: Array, _: Geometry, samples: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    rows = torch.stack(images).numpy()
    k = generator.integers(weight.shape[1], size=samples)
    return rows[generator.integers(len(rows), size=samples), k], weight[
        generator.integers(len(weight), size=samples), k
    ]


def _convolution_pairs(
    images: list[torch.Tensor], weight: Array, geometry: Geometry, samples: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    filters, inputs, *kernel = weight.shape
    taps: Pair = (kernel[0], kernel[1])
    shapes = [geometry.output((image.shape[1], image.shape[2]), taps) for image in images]
    positions = np.array([height * width for height, width in shapes])
    image_of = np.sort(generator.choice(len(images), size=samples, p=positions / positions.sum()))
    n, c = generator.integers(filters, size=samples), generator.integers(inputs, size=samples)
    i, j = generator.integers(taps[0], size=samples), generator.integers(taps[1], size=samples)
    position = generator.integers(positions[image_of])
    x = np.empty(samples, dtype=np.float32)
    top, bottom, left, right = geometry.padding
    starts = np.searchsorted(image_of, np.arange(len(images) + 1))
    for image, (_, width), first, end in zip(images, shapes, starts[:-1], starts[1:], strict=True):
        part = slice(int(first), int(end))
        padded = functional.pad(image, (left, right, top, bottom)).numpy()
        row, column = position[part] // width, position[part] % width
        x[part] = padded[
            n[part] // (filters // geometry.groups) * inputs + c[part],
            row * geometry.stride[0] + i[part] * geometry.dilation[0],
            column * geometry.stride[1] + j[part] * geometry.dilation[1],
        ]
    return x, weight[n, c, i, j]


def _bytes(image: torch.Tensor) -> int:
    return image.numel() * image.element_size()
