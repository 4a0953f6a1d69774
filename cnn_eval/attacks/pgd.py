"""PGD, projected gradient descent: many small FGSM steps, each projected back into the eps-ball.

Madry, Makelov, Schmidt, Tsipras, Vladu, "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018,
section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from cnn_eval.attacks.base import Attack, Mode, Norm, check_seed, distances, foolbox_model, fooled, generators


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """`steps` steps of `relative_step` * eps from a random point of the eps-ball (`random_start`); the last iterate.

    The default step, 2.5 / steps, reaches the boundary of the ball from any start and can move along it (Madry et
    al.); it is given to Foolbox as `abs_stepsize`, whose own default is weaker. The start is drawn from `seed` and the
    image's own content, so that it depends neither on the batch nor on the order of the images. Mode "minimum" bisects
    eps in [0, largest], `bisections` times for each image, with the step in proportion, and keeps the smallest
    perturbation that fools; the resolution is largest / 2**bisections, 1/1024 by default, and success is assumed to
    grow with eps.
    """

    name: ClassVar[str] = "pgd"
    norm: ClassVar[Norm] = "linf"

    steps: int = 40
    relative_step: float = 0.0625
    random_start: bool = True
    seed: int = 0
    bisections: int = 10
    largest: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.relative_step <= 2 or self.bisections < 1 or not 0 < self.largest <= 1:
            raise ValueError(
                "steps >= 1, 0 < relative_step <= 2, bisections >= 1 and 0 < largest <= 1 must hold, but got "
                f"{self.steps}, {self.relative_step}, {self.bisections} and {self.largest}; correct them."
            )
        check_seed(self.seed)

    def settings(self, *, mode: Mode, epsilon: float | None = None) -> dict[str, Any]:
        """As for every attack, with the step in absolute size, `abs_stepsize`, where the budget decides it."""
        size = None if epsilon is None else self.relative_step * epsilon
        return {**super().settings(mode=mode, epsilon=epsilon), "abs_stepsize": size}

    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        return self._descend(model, images, labels, torch.full((len(images),), epsilon, device=images.device))

    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        best = images.clone()
        size = torch.full((len(images),), torch.inf, device=images.device)
        chosen = (~fooled(model, images, labels)).nonzero()[:, 0]
        low = torch.zeros(len(chosen), device=images.device)
        high = torch.full((len(chosen),), self.largest, device=images.device)
        for _ in range(self.bisections if len(chosen) else 0):
            middle = (low + high) / 2
            candidate = self._descend(model, images[chosen], labels[chosen], middle)
            done = fooled(model, candidate, labels[chosen])
            high, low = torch.where(done, middle, high), torch.where(done, low, middle)
            length = distances(images[chosen], candidate, self.norm)
            better = done & (length < size[chosen])
            best[chosen[better]] = candidate[better]
            size[chosen[better]] = length[better]
        return best

    def _descend(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: torch.Tensor
    ) -> torch.Tensor:
        """Foolbox's PGD with a budget an image: `epsilon` [N]."""
        attackable = foolbox_model(model, images)
        from eagerpy.astensor import astensor
        from foolbox.attacks.projected_gradient_descent import LinfProjectedGradientDescentAttack

        radius = epsilon[:, None, None, None]
        noise = radius * _noise(images, self.seed)

        class SeededPGD(LinfProjectedGradientDescentAttack):
            """Foolbox draws the start from torch's global generator, and for the batch as a whole."""

            def get_random_start(self, x0: Any, epsilon: Any) -> Any:
                return x0 + astensor(noise)

        attack = SeededPGD(
            steps=self.steps,
            abs_stepsize=astensor(self.relative_step * radius),  # type: ignore[arg-type]  # only multiplied
            random_start=self.random_start,
        )
        return attack.run(attackable, images, labels, epsilon=radius)  # type: ignore[arg-type]  # only a clipping bound


def _noise(images: torch.Tensor, seed: int) -> torch.Tensor:
    """Uniform in [-1, 1), shaped like `images`, drawn for each image from `seed` and the image itself."""
    noise = [torch.rand(images.shape[1:], generator=generator) * 2 - 1 for generator in generators(images, seed)]
    return torch.stack(noise).to(images.device)
