"""`run_attack`: one attack on one design, from names to a record; the scenarios themselves are in `scenario_runs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from circuits import Design
from circuits.errors import unknown_name
from cnn_eval.attacks.attack_registry import attack as build_attack
from cnn_eval.attacks.shared.attack_modes import Mode
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.attacks.shared.budgets import default_budget
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.examples.example_cache import Crafted
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import base_network, is_user_model, load_test_images, sample_count
from cnn_eval.models.registry import model_entry
from cnn_eval.models.user_model import check_model
from cnn_eval.scenarios.scenario_runs import SCENARIOS, Attacked, Task, black_box, transfer_attack, white_box
from cnn_eval.scenarios.substitute import Substitute, SubstituteSettings, first_images, reinitialised, train_substitute
from cnn_eval.scenarios.success import Outcome

__all__ = ["QUERY_IMAGES", "AttackRecord", "run_attack"]

QUERY_IMAGES = 150
"""Number of images that a black-box attacker starts its substitute from; they are not attacked."""


@dataclass(frozen=True, kw_only=True)
class AttackRecord:
    """One attack on one design: `settings` of the attack, the samples' `outcome`, and the adversarial images.

    `labels`, int64 [N], are the true classes of the N samples. `substitute`: in scenario "black-box" only.
    """

    design: str
    scenario: str
    settings: Mapping[str, Any]
    labels: torch.Tensor
    outcome: Outcome
    crafted: Crafted
    substitute: Substitute | None = None

    @property
    def rate(self) -> float | None:
        """Share of the eligible samples that fool the design's network; None where none is eligible."""
        return self.outcome.rate

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `rate`."""
        return self.outcome.interval

    @property
    def adversarial(self) -> torch.Tensor:
        """The adversarial images, float32 [N, C, H, W]; the clean image where the attack found nothing."""
        return self.crafted.adversarial


def run_attack(
    design: Design | Mapping[str, Design],
    attack: str | Attack,
    *,
    model: str = "lenet5",
    weights: Path | str | None = None,
    data: str = "embedded",
    samples: int = 100,
    scenario: str = "transfer",
    mode: Mode = "minimum",
    epsilon: float | None = None,
    layers: str = "conv",
    compute: str = "auto",
    backward: str = "ste",
    substitute: SubstituteSettings | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> AttackRecord:
    """Crafts adversarial examples and measures how many fool `model` with its `layers` through `design`.

        record = run_attack(design("axfpm"), "fgsm", samples=50)
        record.rate, record.interval, record.outcome.median_noise("linf")

    `attack`: a name in ATTACKS, or an attack with hyperparameters of your own, `attack("pgd", steps=9)`. `scenario`:
    "transfer" (crafted on the exact network), "black-box" (on a substitute trained as `substitute` says), "white-box"
    (on the design's network through its gradient `backward`). `mode` "minimum": the smallest perturbation that fools;
    "budget": one of at most `epsilon`, by default the convention for the data. `model`, `weights`, `data`: as in
    `measure_accuracy`; the first `samples` test images are attacked. `design`, `layers`, `compute`, `backward`: as in
    `approximate`. `cache`: folder that keeps crafted examples; None keeps none.

    Raises UnknownNameError for unknown names and ValueError for what does not fit (see `Attack.run`), MissingExtraError
    where the attack's library is not installed.
    """
    if scenario not in SCENARIOS:
        raise unknown_name("scenario", scenario, SCENARIOS)
    method = build_attack(attack) if isinstance(attack, str) else attack
    method.require_library()
    exact = base_network(model, weights)
    victim = approximate(exact, design, layers=layers, compute=compute, backward=backward)
    images, labels = load_test_images(model=model, data=data, unit=True)
    check_model(exact, images, labels)
    queried = QUERY_IMAGES if scenario == "black-box" else 0
    count = sample_count(samples, len(images) - queried, "test images" + (" left to attack" if queried else ""))
    if mode == "budget" and epsilon is None:
        epsilon = _default_epsilon(method, model, data, images)
    task = Task(
        attack=method,
        mode=mode,
        epsilon=epsilon,
        images=images[:count],
        labels=labels[:count],
        cache=cache,
        progress=progress,
    )
    name = design.label if isinstance(design, Design) else ", ".join(f"{k}={v.label}" for k, v in design.items())
    trained: Substitute | None = None
    attacked: dict[str, Attacked]
    if scenario == "white-box":
        attacked = white_box(task, {name: victim})
    elif scenario == "black-box":
        start = images[count:][first_images(labels[count:], queried)]
        trained = _substitute(exact, victim, start, substitute or SubstituteSettings(), name if progress else None)
        attacked = black_box(task, {name: trained}, {name: victim})
    else:
        attacked = transfer_attack(task, exact, {name: victim})
    return AttackRecord(
        design=name,
        scenario=scenario,
        settings=method.settings(mode=mode, epsilon=epsilon),
        labels=labels[:count],
        outcome=attacked[name].outcome,
        crafted=attacked[name].crafted,
        substitute=trained,
    )


def _substitute(
    exact: nn.Module, victim: nn.Module, start: torch.Tensor, settings: SubstituteSettings, name: str | None
) -> Substitute:
    """A substitute for `victim` of the exact network's architecture, from new weights; `name` None: no progress bar."""
    untrained = reinitialised(exact, seed=settings.seed)
    return train_substitute(victim, untrained, start, settings, title=name and f"substitute for {name}")


def _default_epsilon(attack: Attack, model: str, data: str, images: torch.Tensor) -> float:
    """The budget that is usual for the data set in the attack's norm."""
    dataset = None
    if not is_user_data(data):
        dataset = "mnist" if is_user_model(model) else model_entry(model).dataset
    budget = default_budget(attack.norm, images.shape[1:], dataset)
    if budget is None:
        raise ValueError(f"mode 'budget' needs an epsilon: there is no default in the norm {attack.norm}; give one.")
    return budget.epsilon
