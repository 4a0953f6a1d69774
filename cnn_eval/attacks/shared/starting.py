"""Where decision-based attacks start: the image blended with noise until it is misclassified."""

from __future__ import annotations

import torch
from torch import nn

from cnn_eval.attacks.shared.primitives import fooled, image_generators, select

DIRECTIONS = 1000
"""Number of noise images tried before the attack gives up on an image."""
BLENDS = 50
"""Number of blending steps from the image to the noise."""


def starting_points(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns (starting points [N, C, H, W], whether each fools, bool [N]), drawn from `seed` and each image.

    The first of `DIRECTIONS` uniform noise images that is not classified as the label is blended with the image:
    (1 - k / BLENDS) * image + k / BLENDS * noise for the least k that fools. Where no noise fools, the image itself is
    returned. This is Foolbox's LinearSearchBlendedUniformNoiseAttack(steps=50), which its Boundary and HopSkipJump
    attacks start from, with random numbers of each image's own.
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
    unfinished = started.nonzero()[:, 0]
    for k in range(BLENDS):
        if not len(unfinished):
            break
        share = k / BLENDS
        blended = (1 - share) * images[unfinished] + share * noise[unfinished]
        done = fooled(model, blended, labels[unfinished])
        result[unfinished[done]] = blended[done]
        unfinished = unfinished[~done]
    return result, started
