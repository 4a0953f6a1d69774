"""Where decision-based attacks start: the image blended with noise that is classified as something else."""

from __future__ import annotations

import torch
from torch import nn

from cnn_eval.attacks.primitives import fooled, image_generators, select

DIRECTIONS = 1000
"""Noise images tried before an image counts as one that the attack cannot start from."""
BLENDS = 50


def starting_points(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(starting points [N, C, H, W], whether each fools, bool [N]), drawn for each image from `seed` and the image.

    The first of `DIRECTIONS` uniform noise images that is not taken for the label, then the least of `BLENDS` equal
    blending steps towards it that still fools; the image itself where none is found. As Foolbox's
    LinearSearchBlendedUniformNoiseAttack(steps=50) does, which its Boundary and HopSkipJump attacks start from.
    """
    generators = image_generators(images, seed)
    noise = torch.zeros_like(images)
    waiting = torch.arange(len(images))
    for _ in range(DIRECTIONS):
        if not len(waiting):
            break
        drawn = torch.stack([torch.rand(images.shape[1:], generator=generators[k]) for k in waiting.tolist()])
        done = fooled(model, drawn, labels[waiting])
        noise[waiting[done]] = drawn[done]
        waiting = waiting[~done]
    started = torch.ones(len(images), dtype=torch.bool)
    started[waiting] = False
    result = select(started, noise, images)
    open_ = started.nonzero()[:, 0]
    for k in range(BLENDS):
        if not len(open_):
            break
        share = k / BLENDS
        blended = (1 - share) * images[open_] + share * noise[open_]
        done = fooled(model, blended, labels[open_])
        result[open_[done]] = blended[done]
        open_ = open_[~done]
    return result, started
