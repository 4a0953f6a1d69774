"""A network under the attacks of an audit, and the book-keeping of what fooled it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cnn_eval.attacks import attack, distances
from cnn_eval.audit import adaptive_attacks
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.wrapped_networks import Contestant
from cnn_eval.models.inference import logits, predict

TRANSFERRED = "from exact: "
"""Before the names of attacks whose examples were crafted on the exact network."""
MINIMUM_NORM = {"ddn": "DDN", "deepfool": "DeepFool"}
_DECISIONS = 40_000
"""Calls that HopSkipJump takes for an image, about."""


class Target:
    """A contestant with the images that it classifies rightly and which of them were fooled by what, bool [N] each.

    Every adversarial image passes `record`: it counts where it lies within budget and pixel bounds and the contestant's
    judge, not the network attacked, takes it for another class.
    """

    def __init__(
        self, contestant: Contestant, images: torch.Tensor, labels: torch.Tensor, settings: AuditSettings
    ) -> None:
        self.contestant = contestant
        self.images = images
        self.labels = labels
        self.settings = settings
        self.right = predict(contestant.judge, images) == labels
        self.fooled: dict[str, torch.Tensor] = {}
        self.examples: dict[str, torch.Tensor] = {}
        self.last: dict[str, torch.Tensor] = {}
        """By gradient: which images PGD's last iterate fools, bool [N]."""
        self.sizes: dict[str, torch.Tensor] = {}
        """By minimum-norm attack: each image's L2 norm where the judge is fooled, infinity elsewhere, float32 [N]."""
        self.unconfirmed = 0

    @property
    def chosen(self) -> torch.Tensor:
        """Indices of the images to attack."""
        return self.right.nonzero()[:, 0]

    @property
    def unfooled(self) -> torch.Tensor:
        """Indices of the images classified rightly that nothing has fooled yet."""
        return (self.right & ~self.any_fooled()).nonzero()[:, 0]

    def any_fooled(self) -> torch.Tensor:
        """Which images anything recorded has fooled, bool [N]."""
        return torch.stack([torch.zeros_like(self.right), *self.fooled.values()]).any(0)

    def within(self, chosen: torch.Tensor, adversarial: torch.Tensor, epsilon: float | None = None) -> torch.Tensor:
        """Which adversarial images keep the budget and the pixel bounds, bool [len(chosen)]."""
        limit = self.settings.budget if epsilon is None else epsilon
        if not len(chosen):
            return torch.zeros(0, dtype=torch.bool)
        size = distances(self.images[chosen], adversarial, self.settings.norm)
        inside = ((adversarial >= 0) & (adversarial <= 1)).flatten(1).all(1)
        return inside & (size <= limit * (1 + 1e-5) + 1e-6)

    def judged(self, chosen: torch.Tensor, adversarial: torch.Tensor, epsilon: float | None = None) -> torch.Tensor:
        """Which images count as fooled, bool [N]."""
        result = torch.zeros_like(self.right)
        if len(chosen):
            wrong = predict(self.contestant.judge, adversarial) != self.labels[chosen]
            kept = self.within(chosen, adversarial, epsilon) & self.right[chosen]
            result[chosen] = wrong & kept
            if self.contestant.value is not self.contestant.judge:
                seen = predict(self.contestant.value, adversarial) != self.labels[chosen]
                self.unconfirmed += int((seen & kept & ~wrong).sum())
        return result

    def record(self, key: str, chosen: torch.Tensor, adversarial: torch.Tensor) -> torch.Tensor:
        """Judges and keeps the examples of an attack; which images it fooled, bool [N]."""
        self.fooled[key] = self.judged(chosen, adversarial)
        full = self.images.clone()
        full[chosen] = adversarial
        self.examples[key] = full
        return self.fooled[key]


class Battery:
    """The attacks of an audit on one target; each is recorded under "ATTACK, GRADIENT"."""

    def __init__(self, target: Target, classes: int, meter: Meter) -> None:
        self.target = target
        self.classes = classes
        self.meter = meter
        self.settings = target.settings
        self.ball: dict[str, Any] = {"norm": self.settings.norm, "epsilon": self.settings.budget}

    def run(
        self, key: str, calls: float, make: Callable[..., torch.Tensor], chosen: torch.Tensor | None = None
    ) -> None:
        """`make(images, labels)` on the images classified rightly, or on those `chosen`."""
        target = self.target
        indices = target.chosen if chosen is None else chosen
        with self.meter.stage(f"{target.contestant.name}: {key}", calls):
            target.record(key, indices, make(target.images[indices], target.labels[indices]))

    def pgd(self, label: str, network: nn.Module) -> None:
        """PGD's best iterate counts; what its last one fools is kept to compare."""
        settings, target = self.settings, self.target
        chosen = target.chosen
        x, y = target.images[chosen], target.labels[chosen]
        with self.meter.stage(f"{target.contestant.name}: PGD, {label}", settings.steps):
            found = adaptive_attacks.pgd(network, x, y, **self.ball, steps=settings.steps, seed=settings.seed)
            target.record(f"PGD, {label}", chosen, found.best)
            target.last[label] = target.judged(chosen, found.last)

    def single(self, label: str, network: nn.Module) -> None:
        """The single step."""
        name = "FGSM" if self.settings.norm == "linf" else "single step"
        self.run(f"{name}, {label}", 1, lambda x, y: adaptive_attacks.single_step(network, x, y, **self.ball))

    def apgd(self, label: str, network: nn.Module) -> None:
        """APGD-CE, and APGD-T where there are classes enough."""
        settings = self.settings
        options = {**self.ball, "classes": self.classes, "steps": settings.apgd_steps, "seed": settings.seed}
        for name, targeted in (("APGD-CE", False), ("APGD-T", True)):
            if targeted and self.classes < 4:
                continue
            calls = settings.apgd_steps * (min(9, self.classes - 1) if targeted else 1)
            self.run(
                f"{name}, {label}",
                calls,
                lambda x, y, targeted=targeted: adaptive_attacks.apgd(network, x, y, targeted=targeted, **options),
            )

    def gradient_free(self, network: nn.Module) -> None:
        """Square, and random noise as a control."""
        settings = self.settings
        self.run(
            "Square",
            settings.queries // 3,
            lambda x, y: adaptive_attacks.square(
                network, x, y, **self.ball, queries=settings.queries, seed=settings.seed
            ),
        )
        target = self.target
        chosen = target.chosen
        flipped = torch.zeros_like(target.right)
        examples = target.images.clone()
        for draw in range(settings.noise_draws):
            noisy = adaptive_attacks.random_noise(target.images[chosen], **self.ball, seed=settings.seed + draw)
            new = target.judged(chosen, noisy) & ~flipped
            examples[new] = noisy[new[chosen]]
            flipped |= new
        target.fooled["random noise"], target.examples["random noise"] = flipped, examples

    def minimum(self, label: str, network: nn.Module) -> None:
        """DDN and DeepFool, their norms in `sizes`."""
        settings, target = self.settings, self.target
        steps = {"ddn": settings.minimum_steps, "deepfool": settings.deepfool_steps}
        for name in ("ddn", "deepfool"):
            made = attack(name, steps=steps[name])
            key = f"{MINIMUM_NORM[name]}, {label}"
            calls = steps[name] * (1 if name == "ddn" else min(9, self.classes - 1))
            self.run(key, calls, lambda x, y, made=made: made.run(network, x, y, mode="minimum"))
            found = target.examples[key]
            size = distances(target.images, found, "l2")
            wrong = target.right & (predict(target.contestant.judge, found) != target.labels)
            target.sizes[name] = torch.where(wrong, size, torch.inf)

    def doubled(self, label: str, network: nn.Module) -> torch.Tensor:
        """PGD with twice the steps and twice the restarts on what nothing has fooled; which images it fools."""
        settings, target = self.settings, self.target
        chosen = target.unfooled
        if not len(chosen):  # no attack, and no rate of it
            return torch.zeros_like(target.right)
        key = f"PGD, doubled, {label}"
        self.run(
            key,
            4 * settings.steps,
            lambda x, y: (
                adaptive_attacks.pgd(
                    network, x, y, **self.ball, steps=2 * settings.steps, restarts=2, seed=settings.seed + 1
                ).best
            ),
            chosen,
        )
        return target.fooled[key]

    def decision(self, network: nn.Module, chosen: torch.Tensor) -> torch.Tensor:
        """HopSkipJump on the images `chosen`; their L2 norms as in `sizes`, float32 [len(chosen)]."""
        target, key = self.target, "HopSkipJump"
        made = attack("hopskipjump", steps=self.settings.decision_steps)
        calls = _DECISIONS * len(chosen) / max(1, len(target.images))
        self.run(key, calls, lambda x, y: made.run(network, x, y, mode="minimum"), chosen)
        found = target.examples[key][chosen]
        wrong = predict(target.contestant.judge, found) != target.labels[chosen]
        return torch.where(wrong, distances(target.images[chosen], found, "l2"), torch.inf)


def class_count(network: nn.Module, images: torch.Tensor) -> int:
    """Number of classes that the network tells apart."""
    return logits(network, images[:1]).shape[1]
