"""HopSkipJump: gradient directions estimated at the decision boundary from decisions alone.

Chen, Jordan, Wainwright, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", IEEE S&P 2020, algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Norm
from cnn_eval.attacks.shared.base import MinimumNormAttack, foolbox_model
from cnn_eval.attacks.shared.hyperparameters import hyperparameter, seed_hyperparameter
from cnn_eval.attacks.shared.primitives import broadcast, fooled, image_generators
from cnn_eval.attacks.shared.starting import starting_points


@dataclass(frozen=True, kw_only=True)
class HopSkipJump(MinimumNormAttack):
    """`steps` iterations, the gradient of each estimated from `initial_num_evals` * sqrt(iteration) decisions, at most
    `max_num_evals`; `gamma` scales the precision of the search for the boundary.

    Every image is attacked on its own: Foolbox 3.3.4 normalises its random directions and its gradients over the whole
    batch, so that larger batches find larger perturbations. Directions are drawn from `seed` and the image. An image
    for which no starting point is found comes back unchanged.
    """

    name: ClassVar[str] = "hopskipjump"
    norm: ClassVar[Norm] = "l2"
    follows_gradient: ClassVar[bool] = False

    steps: int = hyperparameter(64, "iterations", at_least=1)
    initial_num_evals: int = hyperparameter(100, "decisions for the first gradient", at_least=1)
    max_num_evals: int = hyperparameter(10000, "largest number of decisions for a gradient", at_least=1)
    gamma: float = hyperparameter(1.0, "scale of the precision of the search for the boundary", above=0)
    seed: int = seed_hyperparameter()

    def unstarted(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images for which no noise fools."""
        return ~starting_points(model, images, labels, self.seed)[1]

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._walk(model, images[k : k + 1], labels[k : k + 1]) for k in range(len(images))])

    def _walk(self, model: nn.Module, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Attacks one image, [1, C, H, W]."""
        attackable = foolbox_model(model, image)
        start, started = starting_points(model, image, label, self.seed)
        if not bool(started):
            return image
        from eagerpy.astensor import astensor
        from foolbox.attacks.hop_skip_jump import HopSkipJumpAttack

        (generator,) = image_generators(image, self.seed)

        class Seeded(HopSkipJumpAttack):
            """Estimates the gradient at a boundary point x_t from B decisions phi = +-1 (equations 9 and 16):

                grad = 1/(B-1) * sum_b (phi(x_t + delta u_b) - mean phi) u_b,      u_b uniform on the unit sphere

            The factor before the sum is lost in the normalisation. All decisions around a point are asked for together,
            and the directions are drawn from the image's own generator.
            """

            def approximate_gradients(self, _: Any, x_advs: Any, steps: int, delta: Any) -> Any:
                x, size = x_advs.raw, delta.raw
                directions = torch.randn((steps, *x.shape[1:]), generator=generator)
                directions /= broadcast(directions.flatten(1).norm(dim=1)) + 1e-12
                moved = (x + size * directions).clamp(0, 1)
                # The directions that were really tried, after clipping.
                directions = (moved - x) / (size + 1e-8)
                signs = fooled(model, moved, label.expand(steps)).float() * 2 - 1
                mean = signs.mean()
                # Where all decisions agree, signs - mean is 0 everywhere and would give no direction.
                weights = signs if abs(float(mean)) == 1 else signs - mean
                gradient = (broadcast(weights) * directions).mean(0, keepdim=True)
                return astensor(gradient / (gradient.norm() + 1e-12))

        attack = Seeded(
            steps=self.steps,
            initial_gradient_eval_steps=self.initial_num_evals,
            max_gradient_eval_steps=self.max_num_evals,
            gamma=self.gamma,
        )
        return attack.run(attackable, image, label, starting_points=start)
