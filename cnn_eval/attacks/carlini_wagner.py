"""C&W L2: the perturbation that minimises its squared length plus a weighted hinge on the logits.

Carlini, Wagner, "Towards Evaluating the Robustness of Neural Networks", IEEE S&P 2017, sections V and VI A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Norm
from cnn_eval.attacks.shared.base import MinimumNormAttack, foolbox_model
from cnn_eval.attacks.shared.hyperparameters import hyperparameter
from cnn_eval.attacks.shared.primitives import select


@dataclass(frozen=True, kw_only=True)
class CarliniWagner(MinimumNormAttack):
    """Minimises |x' - x|^2 + c * f(x') with x' = (tanh(w) + 1) / 2, which keeps x' in [0, 1] (section V A and B), where

        f(x') = max(Z_y - max_{i != y} Z_i, -kappa)      (f6, untargeted; Z: logits, y: the true class)

    A binary search over c (section V C) tries `binary_search_steps` values from `initial_const` on, each with `steps`
    Adam steps of `stepsize`. `confidence` is kappa: the best wrong logit must exceed the true one by it. An image for
    which that is not reached comes back unchanged. Steps and c are those of the paper's experiments with 9 x 1000
    iterations. All of them are done: Foolbox's early abort looks at the loss of the whole batch.
    """

    name: ClassVar[str] = "cw"
    norm: ClassVar[Norm] = "l2"

    confidence: float = hyperparameter(0.0, "kappa: logit margin that an example must reach", at_least=0)
    binary_search_steps: int = hyperparameter(9, "values of c that are tried", at_least=1)
    steps: int = hyperparameter(1000, "Adam steps for each c", at_least=1)
    stepsize: float = hyperparameter(0.01, "step size of Adam", above=0)
    initial_const: float = hyperparameter(0.001, "first value of c", above=0)

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        attackable = foolbox_model(model, images)
        from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack

        #   minimise  |x' - x|^2 + c max(Z_y - max_{i != y} Z_i, -kappa),    x' = (tanh(w) + 1) / 2
        attack = L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.stepsize,
            confidence=self.confidence,
            initial_const=self.initial_const,
            abort_early=False,
        )
        adversarial: torch.Tensor = attack.run(attackable, images, labels)
        # Foolbox returns an all-zero image where the search has failed, and that may fool by chance.
        failed = (adversarial == 0).flatten(1).all(1)
        return select(failed, images, adversarial)
