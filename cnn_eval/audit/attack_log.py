"""The log of an audit's attacks on one victim: which images were fooled by what, and the adversarial images."""

from __future__ import annotations

import torch

from cnn_eval.attacks.shared.primitives import distances
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.victim import Victim
from cnn_eval.models.inference import predict

TRANSFERRED = "from exact: "
"""Before the names of attacks whose examples were crafted on the exact network."""


class AttackLog:
    """Which of the images that `victim` classifies correctly were fooled by which attack, bool [N] each.

    Every adversarial image passes `record`: it counts where it lies within budget and pixel bounds and the victim's
    judge, not the network attacked, classifies it as something other than its label.
    """

    def __init__(self, victim: Victim, images: torch.Tensor, labels: torch.Tensor, settings: AuditSettings) -> None:
        self.victim = victim
        self.images = images
        self.labels = labels
        self.settings = settings
        self.right = predict(victim.judge, images) == labels
        self.fooled: dict[str, torch.Tensor] = {}
        self.examples: dict[str, torch.Tensor] = {}
        self.last: dict[str, torch.Tensor] = {}
        """By gradient: which images PGD's last iterate fools, bool [N]."""
        self.sizes: dict[str, torch.Tensor] = {}
        """By minimum-norm attack: each image's L2 norm where the judge is fooled, infinity elsewhere, float32 [N]."""
        self.unconfirmed = 0
        """Adversarial images within budget that fooled the network attacked but not the judge."""

    @property
    def chosen(self) -> torch.Tensor:
        """Indices of the images to attack."""
        return self.right.nonzero()[:, 0]

    @property
    def unfooled(self) -> torch.Tensor:
        """Indices of the correctly classified images that nothing has fooled yet."""
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
        # Projections onto the ball are rounded: their norm may exceed the budget by some float32 ulps.
        return inside & (size <= limit * (1 + 1e-5) + 1e-6)

    def judged(self, chosen: torch.Tensor, adversarial: torch.Tensor, epsilon: float | None = None) -> torch.Tensor:
        """Which images count as fooled by `adversarial`, bool [N]; `epsilon` None: the budget of the settings."""
        result = torch.zeros_like(self.right)
        if len(chosen):
            wrong = predict(self.victim.judge, adversarial) != self.labels[chosen]
            admissible = self.within(chosen, adversarial, epsilon) & self.right[chosen]
            result[chosen] = wrong & admissible
            # Only there can the network attacked and the judge differ.
            if self.victim.value is not self.victim.judge:
                attacked_wrong = predict(self.victim.value, adversarial) != self.labels[chosen]
                self.unconfirmed += int((attacked_wrong & admissible & ~wrong).sum())
        return result

    def record(self, key: str, chosen: torch.Tensor, adversarial: torch.Tensor) -> torch.Tensor:
        """Judges and keeps an attack's adversarial images under `key`; returns which images it fooled, bool [N]."""
        self.fooled[key] = self.judged(chosen, adversarial)
        full = self.images.clone()
        full[chosen] = adversarial
        self.examples[key] = full
        return self.fooled[key]
