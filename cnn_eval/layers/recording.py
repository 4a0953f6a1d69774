"""Keeps the activations of a layer in bounded memory."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["RECORD_BYTES", "Recording"]

RECORD_BYTES = 64 << 20
"""Memory for the activations of one layer; beyond it a uniform sample of the images is kept."""


class Recording:
    """The activations of a layer since its weights last changed: all images, or a uniform sample in RECORD_BYTES.

    An image is [C, H, W] or, for a linear layer, a row [K]. The sample is a reservoir (algorithm R, J. S. Vitter,
    "Random sampling with a reservoir", ACM TOMS 11(1), 1985). Invariant: after n images, each of them is in a reservoir
    of s with probability s / n. The next image enters with probability s / (n + 1) in place of a random one, so an
    earlier image stays with probability s / n * (1 - 1 / (n + 1)) = s / (n + 1).
    """

    def __init__(self) -> None:
        self._start(0)

    def _start(self, weight_version: int) -> None:
        self.images: list[torch.Tensor] = []
        self.images_seen = 0
        self.bytes = 0
        self.weight_version = weight_version
        self._generator = np.random.default_rng(0)

    def add(self, x: torch.Tensor, weight: torch.Tensor) -> None:
        """Adds the images of x [B, C, H, W] or rows of x [M, K] that were multiplied by `weight`."""
        if weight._version != self.weight_version:  # torch counts the changes in place of a tensor
            self._start(weight._version)
        for image in x.detach().cpu():  # of a device there is less memory
            self.images_seen += 1
            if self.bytes + _bytes(image) <= RECORD_BYTES or not self.images:
                self.images.append(image.clone())
                self.bytes += _bytes(image)
                continue
            #   P(enter) = P(place < s) = s / n, and the image that leaves is uniform over the s: algorithm R.
            place = int(self._generator.integers(self.images_seen))
            if place < len(self.images):
                self.bytes += _bytes(image) - _bytes(self.images[place])
                self.images[place] = image.clone()


def _bytes(image: torch.Tensor) -> int:
    return image.numel() * image.element_size()
