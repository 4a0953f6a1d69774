"""C&W L2: the perturbation that minimises its squared length plus a weighted hinge on the logits.

Carlini, Wagner, "Towards Evaluating the Robustness of Neural Networks", IEEE S&P 2017, sections V and VI A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.base import MinimumNormAttack, Norm, foolbox_model


@dataclass(frozen=True, kw_only=True)
class CarliniWagner(MinimumNormAttack):
    """`binary_search_steps` values of the weight c, from `initial_const`, each with `steps` Adam steps of `stepsize`.

    `confidence` is the paper's kappa: the best wrong logit must exceed the true one by it. An image for which that is
    not reached comes back unchanged. Steps and c are those of the paper's experiments with 9 x 1000 iterations; all of
    them are done, as Foolbox's early abort looks at the loss of the whole batch.
    """

    name: ClassVar[str] = "cw"
    norm: ClassVar[Norm] = "l2"

    confidence: float = 0.0
    binary_search_steps: int = 9
    steps: int = 1000
    stepsize: float = 0.01
    initial_const: float = 0.001

    def __post_init__(self) -> None:
        if (
            not self.confidence >= 0
            or self.binary_search_steps < 1
            or self.steps < 1
            or not self.stepsize > 0
            or not self.initial_const > 0
        ):
            raise ValueError(
                "confidence >= 0, binary_search_steps >= 1, steps >= 1, stepsize > 0 and initial_const > 0 must hold, "
                f"but got {self.confidence}, {self.binary_search_steps}, {self.steps}, {self.stepsize} and "
                f"{self.initial_const}; correct them."
            )

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        attackable = foolbox_model(model, images)
        from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack

        attack = L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.stepsize,
            confidence=self.confidence,
            initial_const=self.initial_const,
            abort_early=False,
        )
        found: torch.Tensor = attack.run(attackable, images, labels)
        # Foolbox gives an all-zero image where it has found nothing, and that may fool by chance.
        nothing = (found == 0).flatten(1).all(1)
        return torch.where(nothing[:, None, None, None], images, found)
