"""DDN: gradient steps whose norm shrinks while they fool and grows while they do not.

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger, "Decoupling Direction and Norm for Efficient Gradient-Based L2
Adversarial Attacks and Defenses", CVPR 2019, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from cnn_eval.attacks.base import MinimumNormAttack, Norm, check_seed, foolbox_model, generators


@dataclass(frozen=True, kw_only=True)
class DDN(MinimumNormAttack):
    """`steps` steps from a norm of `init_epsilon`, which changes by a factor of 1 +- `gamma` a step.

    1,000 steps are the paper's strongest setting. Where the gradient vanishes the direction is random, drawn from
    `seed` and the image.
    """

    name: ClassVar[str] = "ddn"
    norm: ClassVar[Norm] = "l2"

    steps: int = 1000
    init_epsilon: float = 1.0
    gamma: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.init_epsilon > 0 or not 0 < self.gamma < 1:
            raise ValueError(
                "steps >= 1, init_epsilon > 0 and 0 < gamma < 1 must hold, but got "
                f"{self.steps}, {self.init_epsilon} and {self.gamma}; correct them."
            )
        check_seed(self.seed)

    def _search(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        attackable = foolbox_model(model, images)
        from eagerpy.tensor.pytorch import PyTorchTensor
        from foolbox.attacks.ddn import DDNAttack

        drawing = generators(images, self.seed)

        class Seeded(PyTorchTensor):
            """Foolbox draws from torch's global generator; here `self` is the gradient, and only vanished ones draw."""

            def normal(self, shape: Any, mean: float = 0.0, stddev: float = 1.0) -> Any:
                noise = torch.zeros_like(self.raw)
                for k in (self.raw == 0).flatten(1).all(1).nonzero()[:, 0].tolist():
                    noise[k] = torch.randn(self.raw.shape[1:], generator=drawing[k])
                return type(self)(noise)

        attack = DDNAttack(steps=self.steps, init_epsilon=self.init_epsilon, gamma=self.gamma)
        found: Any = attack.run(attackable, Seeded(images), labels)
        return found.raw  # type: ignore[no-any-return]
