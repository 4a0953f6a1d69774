"""The Boundary attack: a random walk along the decision boundary that asks for decisions only.

Brendel, Rauber, Bethge, "Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine Learning
Models", ICLR 2018, section 2 and algorithm 1.

The walk and the adaptation of its steps are ported from Foolbox 3.3.4, foolbox/attacks/boundary_attack.py (MIT licence,
copyright 2020 Jonas Rauber et al.), with two changes. Every image has directions of its own, drawn from `seed` and the
image, where Foolbox shares one over the batch; and an image for which no starting point is found comes back unchanged,
where Foolbox gives up the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Norm
from cnn_eval.attacks.shared.base import MinimumNormAttack
from cnn_eval.attacks.shared.hyperparameters import hyperparameter, seed_hyperparameter
from cnn_eval.attacks.shared.primitives import broadcast, fooled, image_generators, select
from cnn_eval.attacks.shared.starting import starting_points

_DRAWN = 50
"""Number of directions drawn at a time for each image."""
_SPHERICAL_WINDOW, _SOURCE_WINDOW = 100, 30
"""Number of latest decisions that the success rates of the two kinds of step are estimated from."""
_SPHERICAL_RATES = (0.2, 0.5)
"""Success rates of the spherical step below which both steps shrink and above which both grow: Foolbox's values for
what section 2.3 asks for."""
_SOURCE_RATES = (0.1, 0.25)
"""The same for the whole step, which adapts the step towards the image alone."""


@dataclass(frozen=True, kw_only=True)
class Boundary(MinimumNormAttack):
    """At most `steps` steps: along the sphere around the image by `spherical_step`, then towards it by `source_step`.

    Both sizes are relative to the distance and are multiplied or divided by `step_adaptation`, every
    `update_stats_every_k` steps, as the success rates ask; an image is done when its `source_step` falls below
    `source_step_convergence`.
    """

    name: ClassVar[str] = "boundary"
    norm: ClassVar[Norm] = "l2"
    library: ClassVar[str] = ""
    port: ClassVar[str] = "foolbox 3.3.4"
    follows_gradient: ClassVar[bool] = False

    steps: int = hyperparameter(25000, "largest number of steps", at_least=1)
    spherical_step: float = hyperparameter(0.01, "first step along the sphere, relative to the distance", above=0)
    source_step: float = hyperparameter(0.01, "first step towards the image, relative to the distance", above=0)
    source_step_convergence: float = hyperparameter(1e-7, "source_step at which an image is done", above=0)
    step_adaptation: float = hyperparameter(1.5, "factor by which step sizes change", above=1)
    update_stats_every_k: int = hyperparameter(10, "steps between two looks at the success rates", at_least=1)
    seed: int = seed_hyperparameter()

    def unstarted(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images for which no noise fools."""
        return ~starting_points(model, images, labels, self.seed)[1]

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        result, started = starting_points(model, images, labels, self.seed)
        if bool(started.any()):
            result[started] = self._walk(model, images[started], labels[started], result[started])
        return result

    def _walk(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """The nearest point to each image [N, C, H, W] that the walk from `starts`, which fool, comes by.

        Invariant: `nearest` fools, and its distance to the image never grows.
        """
        nearest = starts
        sizes = _StepSizes(self, len(images))
        directions = _directions(images, self.seed)
        for step in range(1, self.steps + 1):
            converged = sizes.source < self.source_step_convergence
            if bool(converged.all()):
                break
            # Images that have converged are computed along, so that shapes stay the same, but are never moved.
            on_sphere, candidates = _propose(images, nearest, next(directions), sizes.spherical, sizes.source)
            fools = fooled(model, candidates, labels)
            # A candidate is nearer by construction, but for rounding.
            nearer = _lengths(images - candidates) < _lengths(images - nearest)
            nearest = select(~converged & fools & nearer, candidates, nearest)
            # The points on the sphere are asked about here only: each question is a forward pass.
            if step % self.update_stats_every_k == 0:
                sizes.adapt(spherical_fools=fooled(model, on_sphere, labels), candidate_fools=fools)
        return nearest


class _StepSizes:
    """The two relative step sizes of every image, float32 [N] each, adapted to how often steps keep fooling.

    Near a flat piece of the boundary half of all spherical steps fool. More successes mean that the steps are small
    beside the boundary's curvature and can grow; fewer mean that they must shrink.
    """

    def __init__(self, attack: Boundary, count: int) -> None:
        self.spherical = torch.ones(count) * attack.spherical_step
        self.source = torch.ones(count) * attack.source_step
        self._factor = attack.step_adaptation
        self._spherical_rate = _SuccessRate(_SPHERICAL_WINDOW, count)
        self._source_rate = _SuccessRate(_SOURCE_WINDOW, count)

    def adapt(self, *, spherical_fools: torch.Tensor, candidate_fools: torch.Tensor) -> None:
        """Takes note of one decision an image, bool [N] each; changes the sizes where a window is full."""
        self._spherical_rate.append(spherical_fools)
        self._source_rate.append(candidate_fools)
        # A spherical step that often fails is long beside the boundary's curvature, and then so is the other one:
        # both change. The rate of the whole step speaks of `source` alone.
        grow, shrink = self._spherical_rate.take_beyond(*_SPHERICAL_RATES)
        self.spherical = self._changed(self.spherical, grow, shrink)
        self.source = self._changed(self.source, grow, shrink)
        grow, shrink = self._source_rate.take_beyond(*_SOURCE_RATES)
        self.source = self._changed(self.source, grow, shrink)

    def _changed(self, sizes: torch.Tensor, grow: torch.Tensor, shrink: torch.Tensor) -> torch.Tensor:
        sizes = torch.where(grow, sizes * self._factor, sizes)
        return torch.where(shrink, sizes / self._factor, sizes)


class _SuccessRate:
    """The share of successes among each image's latest `length` decisions."""

    def __init__(self, length: int, count: int) -> None:
        self._decisions = torch.full((length, count), torch.nan, dtype=torch.float64)  # NaN: none yet
        self._next = 0

    def append(self, successes: torch.Tensor) -> None:
        """Adds one decision an image, bool [N], in place of the oldest."""
        self._decisions[self._next] = successes.double()
        self._next = (self._next + 1) % len(self._decisions)

    def take_beyond(self, low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
        """(rate > high, rate < low), bool [N] each, of images whose window is full; these then start a new window."""
        full = ~self._decisions.isnan().any(0)
        rate = self._decisions.mean(0)
        above, below = full & (rate > high), full & (rate < low)
        self._decisions[:, above | below] = torch.nan
        return above, below


def _directions(images: torch.Tensor, seed: int) -> Iterator[torch.Tensor]:
    """Gaussian directions [N, C, H, W], step after step, each image's from its own generator."""
    generators = image_generators(images, seed)
    while True:
        drawn = [torch.randn((_DRAWN, *images.shape[1:]), generator=generator) for generator in generators]
        yield from torch.stack(drawn, dim=1)


def _propose(
    images: torch.Tensor,
    nearest: torch.Tensor,
    noise: torch.Tensor,
    spherical_step: torch.Tensor,
    source_step: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A step along the sphere around each image, and from there one towards the image, both clipped to [0, 1].

    With r = x - p, the vector from the present point to the image, d = |r|, and noise eta:

        eta'      = eta - <eta, r/d> r/d                 tangential to the sphere
        eta''     = s d eta' / |eta'|                    s: spherical_step
        sphere    = x + (eta'' - r) / sqrt(1 + s^2)      |eta'' - r| = d sqrt(1 + s^2) by Pythagoras
        candidate = sphere + e d (x - sphere) / |x - sphere|      e: source_step
    """
    towards = images - nearest
    distance = _lengths(towards)
    unit = towards / broadcast(distance)
    # In d dimensions nearly all of the noise is tangential: the projection takes off one component of d.
    tangent = noise - broadcast((noise * unit).flatten(1).sum(1)) * unit
    tangent = tangent * broadcast(spherical_step * distance / _lengths(tangent))
    on_sphere = images + (tangent - towards) / broadcast((spherical_step.square() + 1).sqrt())
    on_sphere = on_sphere.clamp(0, 1)
    back = images - on_sphere
    length = _lengths(back)
    # The step also makes up for what clipping and rounding have moved off the sphere.
    step = (source_step * distance + length - distance).clamp(min=0)
    return on_sphere, (on_sphere + broadcast(step / length) * back).clamp(0, 1)


def _lengths(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1).square().sum(1).sqrt()
