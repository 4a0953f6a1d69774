"""FGSM, the fast gradient sign method: one step along the sign of the loss gradient.

Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015, equation in section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Norm
from cnn_eval.attacks.shared.base import Attack, foolbox_model
from cnn_eval.attacks.shared.hyperparameters import hyperparameter
from cnn_eval.attacks.shared.primitives import fooled, shift


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """x' = x + eps * sign(grad_x J(x, y)) with J the cross-entropy, clipped to [0, 1].

    Mode "minimum" finds each image's smallest eps along that one direction: the first eps = k * largest / grid, k = 1,
    2, ... that fools, then `halvings` bisection steps between it and the grid point below. The result fools, and its
    eps exceeds the smallest one by at most largest / grid / 2**halvings, 1/4096 by default, unless an interval
    narrower than a grid step fools below. The resolution is fine compared with the eps that MNIST needs (about 0.1)
    and coarse compared with the rounding of logits, so that success does not depend on the order of a summation.
    """

    name: ClassVar[str] = "fgsm"
    norm: ClassVar[Norm] = "linf"

    grid: int = hyperparameter(256, "steps of the search for the smallest eps", at_least=1)
    halvings: int = hyperparameter(4, "bisection steps that refine it", at_least=0)
    largest: float = hyperparameter(1.0, "largest eps that is tried", above=0, at_most=1)

    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        attackable = foolbox_model(model, images)
        return _foolbox_attack().run(attackable, images, labels, epsilon=epsilon)  # type: ignore[no-any-return]

    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        direction = self._direction(model, images, labels)

        def at(epsilon: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            return shift(images[chosen], direction[chosen], epsilon)

        step = self.largest / self.grid
        # 0 stays where the image is misclassified already or where no eps on the grid fools: it comes back unchanged.
        high = torch.zeros(len(images), device=images.device)
        waiting = (~fooled(model, images, labels)).nonzero()[:, 0]
        # A scan and not a bisection from the start: success along a line need not grow with eps.
        for k in range(1, self.grid + 1):
            if not len(waiting):
                break
            epsilon = torch.full((len(waiting),), k * step, device=images.device)
            done = fooled(model, at(epsilon, waiting), labels[waiting])
            high[waiting[done]] = k * step
            waiting = waiting[~done]
        bracketed = high.nonzero()[:, 0]
        # Invariant of the bisection: `high` fools, `low` does not (or is 0).
        low = high - step
        for _ in range(self.halvings if len(bracketed) else 0):
            middle = (low + high) / 2
            done = fooled(model, at(middle[bracketed], bracketed), labels[bracketed])
            high[bracketed[done]] = middle[bracketed[done]]
            low[bracketed[~done]] = middle[bracketed[~done]]
        return at(high, torch.arange(len(images), device=images.device))

    def _direction(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The sign of the gradient, as Foolbox's FGSM computes it."""
        attackable = foolbox_model(model, images)
        from eagerpy.astensor import astensor

        attack = _foolbox_attack()
        x = astensor(images)
        _, gradient = attack.value_and_grad(attack.get_loss_fn(attackable, astensor(labels)), x)
        return attack.normalize(gradient, x=x, bounds=attackable.bounds).raw  # type: ignore[no-any-return]


def _foolbox_attack() -> Any:
    from foolbox.attacks.fast_gradient_method import LinfFastGradientAttack

    return LinfFastGradientAttack(random_start=False)
