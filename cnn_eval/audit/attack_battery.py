"""The attacks that an audit runs on one victim, each through the network and gradient that it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cnn_eval.attacks.attack_registry import attack
from cnn_eval.attacks.shared.primitives import distances
from cnn_eval.audit import adaptive_attacks
from cnn_eval.audit.attack_log import AttackLog
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.models.inference import logits, predict

MINIMUM_NORM = {"ddn": "DDN", "deepfool": "DeepFool"}
_DECISION_CALLS = 40_000
"""Approximate number of calls that HopSkipJump takes for an image."""
_MOST_TARGETS = 9
"""Classes that DeepFool and APGD-T look at, at most."""


class Battery:
    """Runs the attacks of an audit and records each in `log` under "ATTACK, GRADIENT"."""

    def __init__(self, log: AttackLog, classes: int, meter: Meter) -> None:
        self.log = log
        self.classes = classes
        self.meter = meter
        self.settings = log.settings
        self.ball: dict[str, Any] = {"norm": self.settings.norm, "epsilon": self.settings.budget}

    def run(
        self, key: str, calls: float, craft: Callable[..., torch.Tensor], chosen: torch.Tensor | None = None
    ) -> None:
        """Records `craft(images, labels)` on the correctly classified images, or on those `chosen`."""
        log = self.log
        indices = log.chosen if chosen is None else chosen
        with self.meter.stage(f"{log.victim.name}: {key}", calls):
            log.record(key, indices, craft(log.images[indices], log.labels[indices]))

    def pgd(self, label: str, network: nn.Module) -> None:
        """PGD; its best iterate counts, and what the last one fools is noted for comparison."""
        settings, log = self.settings, self.log
        chosen = log.chosen
        x, y = log.images[chosen], log.labels[chosen]
        with self.meter.stage(f"{log.victim.name}: PGD, {label}", settings.steps):
            iterates = adaptive_attacks.pgd(network, x, y, **self.ball, steps=settings.steps, seed=settings.seed)
            log.record(f"PGD, {label}", chosen, iterates.best)
            log.last[label] = log.judged(chosen, iterates.last)

    def single(self, label: str, network: nn.Module) -> None:
        """FGSM, or in L2 one step along the gradient."""
        name = "FGSM" if self.settings.norm == "linf" else "single step"
        self.run(f"{name}, {label}", 1, lambda x, y: adaptive_attacks.single_step(network, x, y, **self.ball))

    def apgd(self, label: str, network: nn.Module) -> None:
        """APGD-CE, and APGD-T where there are at least four classes."""
        settings = self.settings
        options = {**self.ball, "classes": self.classes, "steps": settings.apgd_steps, "seed": settings.seed}
        for name, targeted in (("APGD-CE", False), ("APGD-T", True)):
            # The DLR loss divides by a difference of the largest logit and the third and fourth ones.
            if targeted and self.classes < 4:
                continue
            calls = settings.apgd_steps * (min(_MOST_TARGETS, self.classes - 1) if targeted else 1)
            self.run(
                f"{name}, {label}",
                calls,
                # Bound as a default: a closure would see the loop's last value.
                lambda x, y, targeted=targeted: adaptive_attacks.apgd(network, x, y, targeted=targeted, **options),
            )

    def gradient_free(self, network: nn.Module) -> None:
        """Square, then random noise as a control."""
        settings = self.settings
        self.run(
            "Square",
            settings.queries // 3,
            lambda x, y: adaptive_attacks.square(
                network, x, y, **self.ball, queries=settings.queries, seed=settings.seed
            ),
        )
        log = self.log
        chosen = log.chosen
        flipped = torch.zeros_like(log.right)
        examples = log.images.clone()
        for draw in range(settings.noise_draws):
            noisy = adaptive_attacks.random_noise(log.images[chosen], **self.ball, seed=settings.seed + draw)
            # The first draw that fools an image stays its example.
            new = log.judged(chosen, noisy) & ~flipped
            examples[new] = noisy[new[chosen]]
            flipped |= new
        log.fooled["random noise"], log.examples["random noise"] = flipped, examples

    def minimum(self, label: str, network: nn.Module) -> None:
        """DDN and DeepFool; their norms go into `log.sizes`."""
        settings, log = self.settings, self.log
        steps = {"ddn": settings.minimum_steps, "deepfool": settings.deepfool_steps}
        for name in ("ddn", "deepfool"):
            minimum_norm = attack(name, steps=steps[name])
            key = f"{MINIMUM_NORM[name]}, {label}"
            calls = steps[name] * (1 if name == "ddn" else min(_MOST_TARGETS, self.classes - 1))
            self.run(key, calls, lambda x, y, run=minimum_norm.run: run(network, x, y, mode="minimum"))
            adversarial = log.examples[key]
            size = distances(log.images, adversarial, "l2")
            # Norms count without a budget, which is why `record`'s answer, within the budget, does not serve here.
            wrong = log.right & (predict(log.victim.judge, adversarial) != log.labels)
            log.sizes[name] = torch.where(wrong, size, torch.inf)

    def doubled(self, label: str, network: nn.Module) -> torch.Tensor:
        """PGD with twice the steps and two restarts on what nothing has fooled; returns which images it fools."""
        settings, log = self.settings, self.log
        chosen = log.unfooled
        if not len(chosen):  # no attack, and no rate of it
            return torch.zeros_like(log.right)
        key = f"PGD, doubled, {label}"
        self.run(
            key,
            # Twice the steps, two restarts.
            4 * settings.steps,
            lambda x, y: (
                adaptive_attacks.pgd(
                    network, x, y, **self.ball, steps=2 * settings.steps, restarts=2, seed=settings.seed + 1
                ).best
            ),
            chosen,
        )
        return log.fooled[key]

    def decision(self, network: nn.Module, chosen: torch.Tensor) -> torch.Tensor:
        """HopSkipJump on the images `chosen`; returns their L2 norms as in `log.sizes`, float32 [len(chosen)]."""
        log, key = self.log, "HopSkipJump"
        decision_based = attack("hopskipjump", steps=self.settings.decision_steps)
        calls = _DECISION_CALLS * len(chosen) / max(1, len(log.images))
        self.run(key, calls, lambda x, y: decision_based.run(network, x, y, mode="minimum"), chosen)
        adversarial = log.examples[key][chosen]
        wrong = predict(log.victim.judge, adversarial) != log.labels[chosen]
        return torch.where(wrong, distances(log.images[chosen], adversarial, "l2"), torch.inf)


def class_count(network: nn.Module, images: torch.Tensor) -> int:
    """Number of classes that the network distinguishes."""
    return logits(network, images[:1]).shape[1]
