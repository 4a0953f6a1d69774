"""The Boundary attack: a random walk along the decision boundary that asks for decisions only.

Brendel, Rauber, Bethge, "Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine Learning
Models", ICLR 2018, section 2.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from cnn_eval.attacks.base import MinimumNormAttack, Norm, check_seed, foolbox_model, generators
from cnn_eval.attacks.starting import starting_points

_DRAWN = 50
"""Directions drawn at a time for each image."""


@dataclass(frozen=True, kw_only=True)
class Boundary(MinimumNormAttack):
    """At most `steps` steps: along the sphere around the image by `spherical_step`, then towards it by `source_step`.

    Both sizes are relative to the distance and are multiplied or divided by `step_adaptation`, every
    `update_stats_every_k` steps, as the success rates ask; an image is done when its `source_step` falls below
    `source_step_convergence`. Foolbox's attack with one change: every image has directions of its own, drawn from
    `seed` and the image, where Foolbox shares one over the batch. An image for which no starting point is found comes
    back unchanged, where Foolbox gives up the batch.
    """

    name: ClassVar[str] = "boundary"
    norm: ClassVar[Norm] = "l2"
    follows_gradient: ClassVar[bool] = False

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
        result, started = starting_points(model, images, labels, self.seed)
        if bool(started.any()):
            result[started] = self._walk(model, images[started], labels[started], result[started])
        return result

    def _walk(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Foolbox's attack on images [N, C, H, W] from `starts`, which fool."""
        attackable = foolbox_model(model, images)
        from eagerpy.astensor import astensor
        from foolbox.attacks import boundary_attack

        noise = _directions(images, self.seed)

        def draw_proposals(_: Any, originals: Any, present: Any, *directions_and_norms: Any) -> tuple[Any, Any]:
            *_, spherical_step, source_step = (each.raw for each in directions_and_norms)
            spherical, candidate = _propose(originals.raw, present.raw, next(noise), spherical_step, source_step)
            return astensor(candidate), astensor(spherical)

        attack = boundary_attack.BoundaryAttack(
            steps=self.steps,
            spherical_step=self.spherical_step,
            source_step=self.source_step,
            source_step_convergance=self.source_step_convergence,
            step_adaptation=self.step_adaptation,
            update_stats_every_k=self.update_stats_every_k,
        )
        # Foolbox's own loop with these proposals for its own: the module, which others may use, is left alone.
        original = boundary_attack.BoundaryAttack.run
        run = types.FunctionType(original.__code__, {**vars(boundary_attack), "draw_proposals": draw_proposals})
        run.__kwdefaults__ = original.__kwdefaults__
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)  # images without statistics yet
            found: torch.Tensor = run(attack, attackable, images, labels, starting_points=starts)
        return found


def _directions(images: torch.Tensor, seed: int) -> Iterator[torch.Tensor]:
    """Gaussian directions [N, C, H, W], step after step, each image's from its own generator."""
    drawing = generators(images, seed)
    while True:
        drawn = [torch.randn((_DRAWN, *images.shape[1:]), generator=generator) for generator in drawing]
        yield from torch.stack(drawn, dim=1)


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
