"""The exact network of an audit: attacked once, then compared with every subject."""

from __future__ import annotations

import torch
from torch import nn

from cnn_eval.attacks.attack_registry import attack
from cnn_eval.attacks.shared.primitives import scale_perturbation
from cnn_eval.audit.adaptive_attacks import batches
from cnn_eval.audit.attack_battery import Battery, class_count
from cnn_eval.audit.attack_log import AttackLog
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.victim import module_victim
from cnn_eval.audit.wrapped_networks import Attached, Logarithm, Raised, are_probabilities
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.models.inference import evaluation_mode, logits
from cnn_eval.models.user_model import check_model

__all__ = ["MARGIN_FACTOR", "MARGIN_KAPPA", "Reference", "crafting_calls"]

MARGIN_FACTOR = 1.2
"""Factor on minimum-norm perturbations that gives them a margin."""
MARGIN_KAPPA = 5.0
"""In logits, the confidence of Carlini and Wagner."""


class Reference:
    """The exact network on the images of an audit, attacked when the first subject is audited and then kept.

    `images`: float32 [N, C, H, W] in [0, 1] with true `labels`, int64 [N]. Raises ValueError for images, labels or a
    network that do not fit.
    """

    def __init__(
        self, exact: nn.Module, images: torch.Tensor, labels: torch.Tensor, settings: AuditSettings | None = None
    ) -> None:
        check_images(images)
        check_labels(labels, len(images))
        if not len(images):
            raise ValueError("an audit must have an image, but there is none; give some.")
        self.settings = (settings or AuditSettings()).with_budget(images.shape[1:])
        check_model(exact, images, labels)
        with evaluation_mode(exact):
            probabilities = are_probabilities(logits(exact, images))
            self.exact = Logarithm(exact) if probabilities else exact
            self.log = AttackLog(module_victim(self.exact, name="exact"), images, labels, self.settings)
        self.images = images
        self.labels = labels
        self.classes = class_count(exact, images)
        self.attacked = False
        self.crafted: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        """Name -> (minimum-norm examples, the same with a margin), float32 [N, C, H, W]; clean where none was found."""

    def attack(self, meter: Meter) -> None:
        """Attacks the exact network, once."""
        if self.attacked:
            return
        self.attacked = True
        network = Attached(self.exact)
        battery = Battery(self.log, self.classes, meter)
        battery.single("native", network)
        battery.pgd("native", network)
        battery.apgd("native", network)
        battery.gradient_free(network)
        battery.minimum("native", network)
        battery.doubled("native", network)
        with meter.stage("exact: examples to transfer", crafting_calls(self.settings)):
            self.crafted = self._craft()

    def _craft(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of example sets: just past the decision boundary, and further past it.

        FGSM gets its margin by a longer perturbation, DDN by attacking logits in which the true class is raised.
        """
        chosen = self.log.chosen
        images, labels = self.images[chosen], self.labels[chosen]

        def among_all(adversarial: torch.Tensor) -> torch.Tensor:
            result = self.images.clone()
            result[chosen] = adversarial
            return result

        if not len(images):
            return {}
        network = Attached(self.exact)
        smallest = attack("fgsm").run(network, images, labels, mode="minimum")
        # A longer step along FGSM's one direction; DDN's perturbation has a direction for its own length, so it is
        # searched anew with a margin.
        further = scale_perturbation(images, smallest, MARGIN_FACTOR)
        ddn = attack("ddn", steps=self.settings.minimum_steps)
        # One Raised for each batch: it adds to the logits of just these labels.
        confident = [
            ddn.run(Raised(network, y, MARGIN_KAPPA), x, y, mode="minimum") for x, y in batches(images, labels)
        ]
        return {
            f"smallest FGSM, x{MARGIN_FACTOR:g}": (among_all(smallest), among_all(further)),
            f"DDN, kappa {MARGIN_KAPPA:g}": (self.log.examples["DDN, native"], among_all(torch.cat(confident))),
        }


def crafting_calls(settings: AuditSettings) -> float:
    """Approximate number of calls of the exact network with all images that `_craft` makes."""
    return 100 + settings.minimum_steps
