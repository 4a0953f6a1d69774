"""The Boundary attack: a random walk along the decision boundary that asks for decisions only.

Brendel, Rauber, Bethge, "Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine Learning
Models", ICLR 2018, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.base import MinimumNormAttack, Norm, check_seed, fooled, generators
from cnn_eval.attacks.starting import starting_points

_DRAWN = 50
"""Directions drawn at a time for each image."""
_SPHERICAL, _STEPS = 100, 30
"""Tests of either kind that a success rate is taken over."""


@dataclass(frozen=True, kw_only=True)
class Boundary(MinimumNormAttack):
    """At most `steps` steps: along the sphere around the image by `spherical_step`, then towards it by `source_step`.

    Both sizes are relative to the distance and are multiplied or divided by `step_adaptation`, every
    `update_stats_every_k` steps, as the success rates ask; an image is done when its `source_step` falls below
    `source_step_convergence`. Algorithm and defaults are those of Foolbox 3, the authors' reference, with two
    differences: every image has directions of its own, drawn from `seed` and the image (Foolbox shares one over the
    batch), and an image for which no starting point is found comes back unchanged (Foolbox gives up the batch).
    """

    name: ClassVar[str] = "boundary"
    norm: ClassVar[Norm] = "l2"
    library: ClassVar[str] = ""

    steps: int = 25000
    spherical_step: float = 0.01
    source_step: float = 0.01
    source_step_convergence: float = 1e-7
    step_adaptation: float = 1.5
    update_stats_every_k: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.spherical_step, self.source_step, self.source_step_convergence)
        if (
            self.steps < 1
            or self.update_stats_every_k < 1
            or not self.step_adaptation > 1
            or not all(size > 0 for size in sizes)
        ):
            raise ValueError(
                "steps >= 1, update_stats_every_k >= 1, step_adaptation > 1 and step sizes > 0 must hold, but got "
                f"{self.steps}, {self.update_stats_every_k}, {self.step_adaptation} and {sizes}; correct them."
            )
        check_seed(self.seed)

    def unstarted(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images for which no noise fools."""
        return ~starting_points(model, images, labels, self.seed)[1]

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        best, started = starting_points(model, images, labels, self.seed)
        drawing = generators(images, self.seed)
        count = len(images)
        walk = _Walk(
            torch.full((count,), self.spherical_step),
            torch.full((count,), self.source_step),
            torch.full((_SPHERICAL, count), torch.nan),
            torch.full((_STEPS, count), torch.nan),
        )
        active = started.nonzero()[:, 0]
        noise = torch.empty(0)
        for step in range(self.steps):
            active = active[walk.source_step[active] >= self.source_step_convergence]
            if not len(active):
                break
            if step % _DRAWN == 0:
                noise = torch.zeros(_DRAWN, count, *images.shape[1:])
                for k in active.tolist():
                    noise[:, k] = torch.randn((_DRAWN, *images.shape[1:]), generator=drawing[k])
            originals, present = images[active], best[active]
            spherical, candidate = _propose(
                originals, present, noise[step % _DRAWN, active], walk.spherical_step[active], walk.source_step[active]
            )
            success = fooled(model, candidate, labels[active])
            if (step + 1) % self.update_stats_every_k == 0:
                walk.update(active, fooled(model, spherical, labels[active]), success, self.step_adaptation)
            # nearer by construction, but for rounding
            better = success & (_length(originals - candidate) < _length(originals - present))
            best[active[better]] = candidate[better]
        return best


@dataclass
class _Walk:
    """The state of every image's walk, [N]; `on_sphere` and `on_step`: the latest tests, [tests, N], NaN for none."""

    spherical_step: torch.Tensor
    source_step: torch.Tensor
    on_sphere: torch.Tensor
    on_step: torch.Tensor
    tests: int = 0

    def update(self, active: torch.Tensor, on_sphere: torch.Tensor, on_step: torch.Tensor, factor: float) -> None:
        """Enters two tests of the `active` images and adapts their steps where enough are known."""
        self.on_sphere[self.tests % _SPHERICAL, active] = on_sphere.float()
        self.on_step[self.tests % _STEPS, active] = on_step.float()
        self.tests += 1
        # the mean is NaN, and both comparisons false, where tests are missing
        rate = self.on_sphere[:, active].mean(0)
        grows, shrinks = active[rate > 0.5], active[rate < 0.2]
        for sizes in (self.spherical_step, self.source_step):
            sizes[grows] *= factor
            sizes[shrinks] /= factor
        self.on_sphere[:, torch.cat([grows, shrinks])] = torch.nan
        rate = self.on_step[:, active].mean(0)
        grows, shrinks = active[rate > 0.25], active[rate < 0.1]
        self.source_step[grows] *= factor
        self.source_step[shrinks] /= factor
        self.on_step[:, torch.cat([grows, shrinks])] = torch.nan


def _propose(
    originals: torch.Tensor,
    present: torch.Tensor,
    noise: torch.Tensor,
    spherical_step: torch.Tensor,
    source_step: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A step along the sphere, and from there one towards the original, both clipped to [0, 1]."""
    towards = originals - present
    distance = _length(towards)
    unit = towards / _wide(distance)
    tangent = noise - _wide((noise * unit).flatten(1).sum(1)) * unit
    tangent = tangent * _wide(spherical_step * distance / _length(tangent))
    spherical = originals + (tangent - towards) / _wide((spherical_step.square() + 1).sqrt())
    spherical = spherical.clamp(0, 1)
    back = originals - spherical
    length = _length(back)
    # corrected for what clipping and rounding moved off the sphere
    wanted = (source_step * distance + length - distance).clamp(min=0)
    return spherical, (spherical + _wide(wanted / length) * back).clamp(0, 1)


def _length(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1).square().sum(1).sqrt()


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]
