"""DDN: gradient steps whose norm shrinks while they fool and grows while they do not.

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger, "Decoupling Direction and Norm for Efficient Gradient-Based L2
Adversarial Attacks and Defenses", CVPR 2019, algorithm 1.

The loop is ported from Foolbox 3.3.4, foolbox/attacks/ddn.py (MIT licence, copyright 2020 Jonas Rauber et al.), whose
results it reproduces bit for bit, with one change: Foolbox draws the directions for vanished gradients from torch's
global generator, this module draws them from the image's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.attacks.shared.attack_modes import Norm
from cnn_eval.attacks.shared.base import MinimumNormAttack
from cnn_eval.attacks.shared.hyperparameters import hyperparameter, seed_hyperparameter
from cnn_eval.attacks.shared.primitives import broadcast, image_generators, select

_FIRST_STEP, _LAST_STEP = 1.0, 0.01
"""The step size is annealed from one to the other along half a cosine."""
_SMALLEST_NORM = 1e-12


@dataclass(frozen=True, kw_only=True)
class DDN(MinimumNormAttack):
    """Algorithm 1, with delta the perturbation, g the normalised gradient of the cross-entropy and alpha the step size:

        delta   <- delta + alpha_k g                        alpha_k: cosine annealing, 1 to 0.01
        eps     <- (1 - gamma) eps if x + delta fools, else (1 + gamma) eps
        delta   <- eps delta / |delta|, clipped so that x + delta lies in [0, 1]

    The smallest delta that fooled is the result. 1,000 steps are the paper's strongest setting. Where the gradient
    vanishes the direction is random, drawn from `seed` and the image.
    """

    name: ClassVar[str] = "ddn"
    norm: ClassVar[Norm] = "l2"
    library: ClassVar[str] = ""
    port: ClassVar[str] = "foolbox 3.3.4"

    steps: int = hyperparameter(1000, "gradient steps", at_least=1)
    init_epsilon: float = hyperparameter(1.0, "norm of the first perturbation", above=0)
    gamma: float = hyperparameter(0.05, "relative change of the norm in a step", above=0, below=1)
    seed: int = seed_hyperparameter()

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        generators = image_generators(images, self.seed)
        # No perturbation inside [0, 1] is longer than the one to the far corner of the pixel cube.
        longest = _lengths(torch.maximum(images - 0, 1 - images))
        epsilon = self.init_epsilon * torch.ones_like(longest)
        delta = torch.zeros_like(images)
        # An image that no step fools comes back unchanged.
        best_delta, best_length = delta, longest
        for step in range(self.steps):
            annealed = (1 + math.cos(math.pi * step / self.steps)) / 2
            step_size = _LAST_STEP + (_FIRST_STEP - _LAST_STEP) * annealed
            logits, gradient = _logits_and_gradient(model, images + delta, labels)
            fools = logits.argmax(1) != labels
            # The delta that these logits belong to, before it moves on.
            length = _lengths(delta)
            improves = fools & (length <= best_length)
            best_length = torch.where(improves, length, best_length)
            best_delta = select(improves, delta, best_delta)

            delta = delta + step_size * _normalised(gradient, generators)
            epsilon = epsilon * torch.where(fools, 1.0 - self.gamma, 1.0 + self.gamma)
            epsilon = torch.minimum(epsilon, longest)
            delta = delta * broadcast(epsilon / _lengths(delta))
            # Clipping may leave |delta| < epsilon; epsilon is not adapted to that, as in the paper.
            delta = (images + delta).clamp(0, 1) - images
        return images + best_delta


def _logits_and_gradient(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits, detached, and the gradient of the cross-entropy by the images."""
    leaf = images.clone().requires_grad_()
    with torch.enable_grad():
        logits = model(leaf)
        loss = functional.cross_entropy(logits, labels, reduction="none").sum()
    (gradient,) = torch.autograd.grad(loss, leaf)
    return logits.detach(), gradient


def _normalised(gradient: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """The gradient of each image over its norm; a random direction where the gradient is zero everywhere.

    Where only the squares underflow, so that the norm is 0 but the gradient is not, the direction is 0.
    """
    vanished = (gradient == 0).flatten(1).all(1)
    direction = select(_lengths(gradient) == 0, torch.zeros_like(gradient), gradient)
    for k in vanished.nonzero()[:, 0].tolist():
        direction[k] = torch.randn(gradient.shape[1:], generator=generators[k])
    return direction * broadcast(1 / _lengths(direction).clamp(min=_SMALLEST_NORM))


def _lengths(images: torch.Tensor) -> torch.Tensor:
    return (images.flatten(1) ** 2).sum(1).sqrt()
