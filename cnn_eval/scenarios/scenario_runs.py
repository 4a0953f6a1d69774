"""The three scenarios on one set of samples: which network examples are crafted on, and which they are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from circuits import DesignError
from cnn_eval.attacks.shared.attack_modes import Mode
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.examples.example_cache import Crafted, craft
from cnn_eval.models.inference import predict
from cnn_eval.scenarios.substitute import Substitute
from cnn_eval.scenarios.success import Outcome, judge, noise

__all__ = ["SCENARIOS", "Attacked", "Task", "black_box", "transfer_attack", "white_box"]

SCENARIOS = ("transfer", "black-box", "white-box")


@dataclass(frozen=True, kw_only=True)
class Task:
    """An attack in one mode on N samples: `images` float32 [N, C, H, W] in [0, 1], true `labels` int64 [N].

    `cache`: folder of crafted examples, None to keep none; `progress`: whether to show bars on standard error.
    """

    attack: Attack
    mode: Mode
    epsilon: float | None
    images: torch.Tensor
    labels: torch.Tensor
    cache: Path | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        check_images(self.images)
        check_labels(self.labels, len(self.images))

    def craft(self, source: nn.Module, name: str) -> Crafted:
        """Crafts the examples on `source`, which is called `name` in the progress bar and in errors.

        Raises DesignError where the source classifies no sample correctly: there is nothing to attack.
        """
        if not bool((predict(source, self.images) == self.labels).any()):
            raise DesignError(
                f"the attacked network must classify a sample rightly, but {name} classifies none of "
                f"{len(self.images)}; check its weights and the images."
            )
        return craft(
            source,
            self.attack,
            self.images,
            self.labels,
            mode=self.mode,
            epsilon=self.epsilon,
            cache=self.cache,
            title=f"{self.attack.name} on {name}" if self.progress else None,
        )


@dataclass(frozen=True)
class Attacked:
    """The outcome on one victim, and the examples that were tried on it."""

    outcome: Outcome
    crafted: Crafted


def transfer_attack(
    task: Task,
    source: nn.Module,
    victims: Mapping[str, nn.Module],
    *,
    clean: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, Attacked]:
    """Crafts examples on `source` once and tries them on every victim, one forward pass each.

    `clean`: the victims' classes of the clean images, int64 [N] each, where they are known; they are the same for every
    attack.
    """
    crafted = task.craft(source, "the exact network")
    return {
        name: Attacked(_tried_on(task, victim, crafted, (clean or {}).get(name)), crafted)
        for name, victim in victims.items()
    }


def black_box(
    task: Task, substitutes: Mapping[str, Substitute], victims: Mapping[str, nn.Module]
) -> dict[str, Attacked]:
    """Crafts examples on each victim's own substitute (see `train_substitute`) and tries them on the victim."""
    result = {}
    for name, victim in victims.items():
        crafted = task.craft(substitutes[name].network, f"the substitute for {name}")
        result[name] = Attacked(_tried_on(task, victim, crafted), crafted)
    return result


def white_box(task: Task, victims: Mapping[str, nn.Module]) -> dict[str, Attacked]:
    """Crafts examples on each victim through its own gradients; eligible: the samples that it classifies correctly."""
    result = {}
    for name, victim in victims.items():
        crafted = task.craft(victim, name)
        eligible = crafted.clean_class == task.labels
        wrong = eligible & (crafted.class_ != task.labels)  # the same class as the source's: they are one network
        outcome = Outcome(eligible, wrong, torch.zeros_like(wrong), noise(task.images, crafted.adversarial))
        result[name] = Attacked(outcome, crafted)
    return result


def _tried_on(task: Task, victim: nn.Module, crafted: Crafted, clean: torch.Tensor | None = None) -> Outcome:
    return judge(
        victim,
        task.images,
        crafted.adversarial,
        task.labels,
        source_clean=crafted.clean_class,
        source_adversarial=crafted.class_,
        victim_clean=clean,
    )
