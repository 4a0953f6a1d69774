"""DeepFool: repeated steps to the nearest of the linearised class boundaries.

Moosavi-Dezfooli, Fawzi, Frossard, "DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks", CVPR 2016,
algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Norm
from cnn_eval.attacks.shared.base import MinimumNormAttack, foolbox_model
from cnn_eval.attacks.shared.hyperparameters import hyperparameter


@dataclass(frozen=True, kw_only=True)
class DeepFool(MinimumNormAttack):
    """At most `steps` steps, each onto the nearest linearised boundary with one of the `candidates` likeliest classes.

    With f_k = Z_k - Z_y, the step onto the boundary of class k is r_k = |f_k| / |grad f_k|^2 * grad f_k; the step taken
    is the shortest of them (algorithm 2, lines 7 to 9). The sum of steps is stretched by 1 + `overshoot` to cross the
    boundary. Defaults of the paper and of its authors' code.
    """

    name: ClassVar[str] = "deepfool"
    norm: ClassVar[Norm] = "l2"

    steps: int = hyperparameter(50, "largest number of steps", at_least=1)
    candidates: int = hyperparameter(
        10, "likeliest classes whose boundaries are tried, the original among them", at_least=2
    )
    overshoot: float = hyperparameter(0.02, "relative stretch of the sum of steps", at_least=0)

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        attackable = foolbox_model(model, images)
        from foolbox.attacks.deepfool import L2DeepFoolAttack

        # Foolbox stretches the sum of steps, x + (1 + overshoot) sum r, as the paper does, not each step.
        attack = L2DeepFoolAttack(steps=self.steps, candidates=self.candidates, overshoot=self.overshoot)
        return attack.run(attackable, images, labels)
