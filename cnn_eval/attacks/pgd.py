"""PGD, projected gradient descent: many small FGSM steps, each projected back into the eps-ball.

Madry, Makelov, Schmidt, Tsipras, Vladu, "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018,
section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Mode, Norm
from cnn_eval.attacks.shared.base import Attack, foolbox_model
from cnn_eval.attacks.shared.hyperparameters import hyperparameter, seed_hyperparameter
from cnn_eval.attacks.shared.primitives import broadcast, distances, fooled, uniform_noise


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """x_{t+1} = clip_{x, eps}(x_t + alpha * sign(grad_x J(x_t, y))) from a random point of the eps-ball.

    `steps` steps of alpha = `relative_step` * eps; the result is the last iterate. Without `random_start` x_0 is x.
    The default step, 2.5 / steps, reaches the boundary of the ball from any start and can move along it (Madry et
    al.); it is given to Foolbox as `abs_stepsize`, whose own default is weaker. The start is drawn from `seed` and the
    image's own content, so that it depends neither on the batch nor on the order of the images. Mode "minimum" bisects
    eps in [0, largest], `bisections` times for each image, with the step in proportion, and keeps the smallest
    perturbation that fools; the resolution is largest / 2**bisections, 1/1024 by default, and success is assumed to
    grow with eps.
    """

    name: ClassVar[str] = "pgd"
    norm: ClassVar[Norm] = "linf"

    steps: int = hyperparameter(40, "gradient steps", at_least=1)
    relative_step: float = hyperparameter(0.0625, "step size over eps", above=0, at_most=2)
    random_start: bool = hyperparameter(True, "start at a random point of the ball instead of the image")
    seed: int = seed_hyperparameter()
    bisections: int = hyperparameter(10, "bisections in the search for the smallest eps", at_least=1)
    largest: float = hyperparameter(1.0, "largest eps that is tried", above=0, at_most=1)

    def settings(self, *, mode: Mode, epsilon: float | None = None) -> dict[str, Any]:
        """As for every attack; adds the absolute step size, `abs_stepsize`, where a budget fixes it."""
        size = None if epsilon is None else self.relative_step * epsilon
        return {**super().settings(mode=mode, epsilon=epsilon), "abs_stepsize": size}

    def _budget(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: float) -> torch.Tensor:
        return self._descend(model, images, labels, torch.full((len(images),), epsilon, device=images.device))

    def _minimum(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        # Invariant of the bisection: PGD fools at `high` (or has not been tried there), and does not at `low`.
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
            # A smaller eps does not always give a shorter perturbation: the shortest is kept, not the latest.
            better = done & (length < size[chosen])
            best[chosen[better]] = candidate[better]
            size[chosen[better]] = length[better]
        return best

    def _descend(
        self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epsilon: torch.Tensor
    ) -> torch.Tensor:
        """Runs Foolbox's PGD with one budget for each image: `epsilon` [N]."""
        attackable = foolbox_model(model, images)
        from eagerpy.astensor import astensor
        from foolbox.attacks.projected_gradient_descent import LinfProjectedGradientDescentAttack

        radius = broadcast(epsilon)
        noise = radius * uniform_noise(images, self.seed)

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
