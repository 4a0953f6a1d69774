"""DeepFool: repeated steps to the nearest of the linearised class boundaries.

Moosavi-Dezfooli, Fawzi, Frossard, "DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks", CVPR 2016,
algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from cnn_eval.attacks.base import MinimumNormAttack, Norm, foolbox_model


@dataclass(frozen=True, kw_only=True)
class DeepFool(MinimumNormAttack):
    """At most `steps` steps, each to the nearest boundary with one of the `candidates` most likely classes (the
    original among them), the sum of steps stretched by 1 + `overshoot`. Defaults of the paper and of its authors' code.
    """

    name: ClassVar[str] = "deepfool"
    norm: ClassVar[Norm] = "l2"

    steps: int = 50
    candidates: int = 10
    overshoot: float = 0.02

    def __post_init__(self) -> None:
        if self.steps < 1 or self.candidates < 2 or not self.overshoot >= 0:
            raise ValueError(
                "steps >= 1, candidates >= 2 and overshoot >= 0 must hold, but got "
                f"{self.steps}, {self.candidates} and {self.overshoot}; correct them."
            )

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        attackable = foolbox_model(model, images)
        from foolbox.attacks.deepfool import L2DeepFoolAttack

        attack = L2DeepFoolAttack(steps=self.steps, candidates=self.candidates, overshoot=self.overshoot)
        return attack.run(attackable, images, labels)
