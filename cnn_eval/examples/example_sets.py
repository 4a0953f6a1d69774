"""The stored sets of adversarial examples by name: how each is crafted.

A new set is one entry in EXAMPLE_SETS; `python -m cnn_eval examples` crafts it. Listing the names loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnn_eval.attacks.attack_registry import attack
from cnn_eval.attacks.shared.attack_modes import Mode

if TYPE_CHECKING:
    from cnn_eval.attacks.shared.base import Attack

__all__ = ["EXAMPLE_SETS", "ExampleSet"]


@dataclass(frozen=True, kw_only=True)
class ExampleSet:
    """How a set is crafted: the attack by name, its mode and, in mode "budget", the budget by data set.

    `hyperparameters`: those of the attack that differ from its defaults.
    """

    attack: str
    mode: Mode
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    epsilon: Mapping[str, float] = field(default_factory=dict)

    def build_attack(self) -> Attack:
        """The attack with its hyperparameters. Raises as `cnn_eval.attacks.attack` does."""
        return attack(self.attack, **self.hyperparameters)


# Budgets: FACTS 3 for MNIST; 8/255 is the usual one for CIFAR-10 (Madry et al., ICLR 2018).
EXAMPLE_SETS: Mapping[str, ExampleSet] = MappingProxyType(
    {
        "pgd": ExampleSet(
            attack="pgd",
            hyperparameters=MappingProxyType({"steps": 40}),
            mode="budget",
            epsilon=MappingProxyType({"mnist": 0.2, "cifar10": 8 / 255}),
        ),
        "fgsm_smallest": ExampleSet(attack="fgsm", mode="minimum"),
    }
)
