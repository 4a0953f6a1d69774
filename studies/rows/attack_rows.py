"""Common parts of the attack studies: attacks and samples per level, victims with the control, rows and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from circuits.support.statistics import wilson
from cnn_eval.attacks.attack_registry import attack
from cnn_eval.attacks.shared.attack_modes import Mode, Norm
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.attacks.shared.primitives import distances
from cnn_eval.examples.example_cache import default_cache
from cnn_eval.measure.network_accuracy import base_network, load_test_images
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import model_entry, weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from cnn_eval.scenarios.scenario_runs import Attacked, Task
from studies.frame.study import Row, StudyOptions
from studies.frame.verdict_text import DECISIVE, NEARLY_ALL, Conclusion, verdict
from studies.rows.further_victims import further_victims, through

PUBLISHED_NAMES = {
    "fgsm": "FGSM",
    "pgd": "PGD",
    "jsma": "JSMA",
    "cw": "C&W",
    "deepfool": "DF",
    "lsa": "LSA",
    "boundary": "BA",
    "hopskipjump": "HSJ",
}
"""Our names of the attacks in DA table 1 -> the paper's names."""
BUDGETS: Mapping[str, Mapping[Norm, float]] = {
    "mnist": {"linf": 0.2, "l2": 1.5, "l0": 112},
    "cifar10": {"linf": 8 / 255, "l2": 0.5, "l0": 445},
}
"""Perturbation budgets of mode "budget" per data set, from FACTS and the attacks' papers.

The l0 budget is JSMA's 14.5 % of the input values.
"""
SHORT: Mapping[str, Mapping[str, float]] = {
    "pgd": {"steps": 20, "relative_step": 0.125, "bisections": 8},
    "cw": {"binary_search_steps": 5, "steps": 150, "initial_const": 1.0},
    "boundary": {"steps": 6000, "spherical_step": 0.05, "source_step": 0.05},
    "hopskipjump": {"steps": 12},
    "ddn": {"steps": 100},
}
"""Hyperparameters at level quick. Shorter searches end with larger perturbations, which transfer rather more often."""
SLOW = ("cw", "lsa", "boundary", "hopskipjump")
"""The slowest attacks by far. Some studies run them on the first few samples only."""
SHORTER: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "mnist": {},
    "cifar10": {
        "boundary": {"steps": 2400, "spherical_step": 0.05, "source_step": 0.05},
        "hopskipjump": {"steps": 8},
    },
}
"""Hyperparameters at level quick that replace SHORT on a data set where it would take too long."""
QUICK_CHOICE = "the first that the network and all victims but the control classify rightly"


@dataclass(frozen=True)
class Setting:
    """The network, samples and victims of a study.

    `others` holds the images and labels that are not attacked. `slow` is the number of samples for the attacks in SLOW.
    """

    model: str
    level: str
    base: nn.Module
    images: torch.Tensor
    labels: torch.Tensor
    others: tuple[torch.Tensor, torch.Tensor]
    victims: Mapping[str, nn.Module]
    slow: int

    @property
    def dataset(self) -> str:
        """The data set that the model classifies."""
        return model_entry(self.model).dataset

    @property
    def budgets(self) -> Mapping[Norm, float]:
        """The perturbation budget of each norm on the model's data set."""
        return BUDGETS[self.dataset]

    def task(self, name: str, mode: Mode) -> Task:
        """Returns the task of running the attack `name` in one mode, at the study's level."""
        chosen_attack = self._attack(name)
        count = self.slow if name in SLOW else len(self.images)
        return Task(
            attack=chosen_attack,
            mode=mode,
            epsilon=self.budgets[chosen_attack.norm] if mode == "budget" else None,
            images=self.images[:count],
            labels=self.labels[:count],
            cache=default_cache(),
            progress=True,
        )

    def record(self, attacks: Sequence[str] | None = None) -> dict[str, Any]:
        """Returns everything that the numbers depend on. `attacks` names the attacks used, by default all."""
        return {
            "model": self.model,
            "weights_sha256": weights_record(self.model)["sha256"],
            "samples": len(self.images),
            "samples_slow_attacks": self.slow,
            "choice": QUICK_CHOICE if self.level == "quick" else "the first",
            "data": "full" if self.level == "full" else "embedded",
            "attacks": [self._attack(name).settings(mode="minimum") for name in attacks or PUBLISHED_NAMES],
            "budgets": dict(self.budgets),
        }

    def _attack(self, name: str) -> Attack:
        """Builds an attack: with fewer steps at level quick, otherwise with its paper's hyperparameters."""
        short = {**SHORT, **SHORTER[self.dataset]} if self.level == "quick" else {}
        return attack(name, **short.get(name, {}))


def setting(
    options: StudyOptions,
    samples: Mapping[str, int],
    designs: Sequence[str],
    *,
    model: str = "lenet5",
    slow: Mapping[str, int] = MappingProxyType({}),
    extra_victims: Mapping[str, nn.Module] = MappingProxyType({}),
    further: Mapping[str, Sequence[str]] = MappingProxyType({}),
    **choices: str,
) -> Setting:
    """Builds the setting of an attack study.

    - `samples`: number of samples per level, taken in file order from the embedded test images (at level full, from
      the whole test set). Level quick skips the images that the network or a victim other than the control
      misclassifies, since they are not eligible.
    - `designs`: the victims. A design is computed in lowered form (exact products of masked operands) if possible,
      otherwise gate by gate. `choices` are passed on to `approximate`.
    - `slow`: number of samples per level for the attacks in SLOW, where it is smaller.
    - `extra_victims`: further victims, which are networks rather than designs.
    - `further`: the arguments of `further_victims`, which come after those of which level quick takes the samples.
    """
    model_entry(model)
    images, labels = load_test_images(model=model, data=options.data, folder=options.data_folder)
    count = samples[options.level]
    base = base_network(model)
    victims = {name: through(base, name, **choices) for name in designs}
    victims |= extra_victims
    indices = torch.arange(count)
    if options.level == "quick":
        indices = _correctly_classified([base, *victims.values()], images, labels, count)
    victims[CONTROL] = power_of_two_control(base)
    if further:
        victims |= further_victims(base, model, options.level, **further)
    unused = torch.ones(len(images), dtype=torch.bool)
    unused[indices] = False
    return Setting(
        model,
        options.level,
        base,
        images[indices],
        labels[indices],
        (images[unused], labels[unused]),
        victims,
        min(count, slow.get(options.level, count)),
    )


def within_budget(task: Task, attacked: Attacked, budget: float) -> tuple[int, int]:
    """Returns (fooled, eligible) over the minimum-norm examples whose norm is within the budget.

    A minimum-norm attack in mode "budget" runs the same search and keeps the examples within the budget. Filtering the
    results of mode "minimum" therefore gives the same counts without a second search.
    """
    size = distances(task.images, attacked.crafted.adversarial, task.attack.norm)
    inside = size <= budget
    return int((attacked.outcome.success & inside).sum()), int((attacked.outcome.eligible & inside).sum())


def rate_row(subject: str, quantity: str, counts: tuple[int, int], published: float | None, remark: str = "") -> Row:
    """Returns the row of a success rate in percent with its Wilson interval.

    If no sample is eligible, the interval is 0 to 100 and the remark says so.
    """
    fooled, eligible = counts
    low, high = wilson(fooled, eligible)
    interval = (100 * low, 100 * high)
    if not eligible:
        return Row(subject, quantity, 0.0, published, interval, "%", "0 of 0: no eligible sample, no rate")
    note = f"{fooled} of {eligible}" + (f"; {remark}" if remark else "")
    return Row(subject, quantity, 100 * fooled / eligible, published, interval, "%", note)


def rates_verdict(rows: Sequence[Row]) -> Conclusion:
    """Returns the verdict on rates with published numbers, and the counts behind it.

    A rate differs if its interval does not contain the published number. It agrees if the interval contains the number
    and is at most DECISIVE points wide; a wider interval decides nothing. The result is reproduced if all rates agree,
    and reproduced in direction if some differ and all are below NEARLY_ALL.
    """
    compared = [
        (row.measured, row.published, row.interval)
        for row in rows
        if row.published is not None and row.interval is not None and not row.remark.startswith("0 of 0")
    ]
    agreements = [(low <= published <= high, high - low <= DECISIVE) for _, published, (low, high) in compared]
    agree, differ = sum(holds and narrow for holds, narrow in agreements), sum(not holds for holds, _ in agreements)
    higher = sum(low > published for _, published, (low, _) in compared)
    resist = sum(measured < NEARLY_ALL for measured, _, _ in compared)
    counts = (
        f"of {len(compared)} rates with a published number, {agree} agree with it, {differ} differ ({higher} are "
        f"higher) and {len(compared) - agree - differ} are known too little to tell; {resist} are below "
        f"{NEARLY_ALL:g} %."
    )
    return verdict(
        reproduced=bool(compared) and agree == len(compared),
        in_direction=bool(differ) and resist == len(compared),
    ), counts


def _correctly_classified(
    networks: Sequence[nn.Module], images: torch.Tensor, labels: torch.Tensor, count: int
) -> torch.Tensor:
    """Returns the indices of the first `count` images, or fewer, that all networks classify correctly."""
    indices: list[int] = []
    for remaining in torch.split(torch.arange(len(images)), count):
        for network in networks:
            remaining = (
                remaining[predict(network, images[remaining]) == labels[remaining]] if len(remaining) else remaining
            )
        indices += remaining.tolist()
        if len(indices) >= count:
            break
    return torch.tensor(indices[:count], dtype=torch.int64)
