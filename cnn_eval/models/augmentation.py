"""Random changes of training images: mirror images, crops, rotations, shifts and changes of size."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from cnn_eval.models.training_settings import TrainingSettings

__all__ = ["augment"]


def augment(images: torch.Tensor, settings: TrainingSettings, generator: torch.Generator) -> torch.Tensor:
    """Randomly changed copies of images [N, C, H, W] (see `TrainingSettings`).

    Mirror images and crops move whole pixels; rotation, shift and scale are one bilinear interpolation.
    """
    if settings.mirror:
        mirrored = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if settings.crop:
        images = _crop(images, settings.crop, generator)
    if not (settings.rotation or settings.shift or settings.scale):
        return images
    return _transform(images, settings, generator)


def _crop(images: torch.Tensor, largest: int, generator: torch.Generator) -> torch.Tensor:
    """Shifts each image by its own number of whole pixels, up to `largest` in each direction, filling with black.

    A shifted image is a window of the padded one: pixel (row, column) comes from (top + row, left + column), with top
    and left drawn from 0 to 2 * largest.
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, [largest] * 4)
    top, left = torch.randint(2 * largest + 1, (2, count, 1), generator=generator)
    rows = (top + torch.arange(height))[:, None, :, None]
    columns = (left + torch.arange(width))[:, None, None, :]
    image, channel = torch.arange(count)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    return padded[image, channel, rows, columns]


def _transform(images: torch.Tensor, settings: TrainingSettings, generator: torch.Generator) -> torch.Tensor:
    """Rotates, scales and shifts each image at random.

    A pixel at position p of the result is read at A p + t of the image, both in half image sizes from the centre:

        A = [cos a  -sin a] / s        t = 2 (shift_x / width, shift_y / height)
            [sin a   cos a]

    with the angle a, the scale s and a shift in pixels, where one pixel is 2 / size.
    """
    uniform = torch.rand(4, len(images), generator=generator) * 2 - 1
    angle = uniform[0] * math.radians(settings.rotation)
    scale = 1 + uniform[1] * settings.scale
    shift_x, shift_y = (uniform[2 + axis] * settings.shift * 2 / images.shape[3 - axis] for axis in range(2))
    cos, sin = angle.cos() / scale, angle.sin() / scale
    matrix = torch.stack([torch.stack([cos, -sin, shift_x], 1), torch.stack([sin, cos, shift_y], 1)], 1)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
