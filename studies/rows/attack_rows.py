"""What the studies of attacks share: attacks and samples by level, victims with the control, rows and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from circuits import DesignError, design
from circuits.support.statistics import wilson
from cnn_eval.attacks.attack_registry import attack
from cnn_eval.attacks.shared.attack_modes import Mode, Norm
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.attacks.shared.primitives import distances
from cnn_eval.examples.example_cache import default_cache
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import base_network, load_test_images
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import model_entry, weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from cnn_eval.scenarios.scenario_runs import Attacked, Task
from studies.frame.study import Row, StudyOptions
from studies.frame.verdict_text import DECISIVE, NEARLY_ALL, Conclusion, verdict

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
"""Our names of the attacks of DA table 1, and its own."""
BUDGETS: Mapping[str, Mapping[Norm, float]] = {
    "mnist": {"linf": 0.2, "l2": 1.5, "l0": 112},
    "cifar10": {"linf": 8 / 255, "l2": 0.5, "l0": 445},
}
"""Of mode "budget", by data set, as FACTS and the attacks' papers use them; l0 is JSMA's 14.5 % of the values."""
SHORT: Mapping[str, Mapping[str, float]] = {
    "pgd": {"steps": 20, "relative_step": 0.125, "bisections": 8},
    "cw": {"binary_search_steps": 5, "steps": 150, "initial_const": 1.0},
    "boundary": {"steps": 6000, "spherical_step": 0.05, "source_step": 0.05},
    "hopskipjump": {"steps": 12},
    "ddn": {"steps": 100},
}
"""Level quick: shorter searches, which end with larger perturbations, so that more of them transfer, if any differ."""
SLOW = ("cw", "lsa", "boundary", "hopskipjump")
"""Attacks that take by far the longest; where a study says so they get the first few samples only."""
SHORTER: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "mnist": {},
    "cifar10": {
        "boundary": {"steps": 2400, "spherical_step": 0.05, "source_step": 0.05},
        "hopskipjump": {"steps": 8},
    },
}
"""Level quick, by data set, where SHORT would take too long."""
QUICK_CHOICE = "the first that the network and all victims but the control classify rightly"


@dataclass(frozen=True)
class Setting:
    """A study's network, samples and victims; `others`: images and labels that are not attacked; `slow`: how many
    samples the attacks in SLOW get."""

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
        """Of the model."""
        return model_entry(self.model).dataset

    @property
    def budgets(self) -> Mapping[Norm, float]:
        """The budget of each norm on the model's data set."""
        return BUDGETS[self.dataset]

    def task(self, name: str, mode: Mode) -> Task:
        """The attack `name` at the study's level, in one mode."""
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
        """All that the numbers depend on; `attacks`: those used, by default all."""
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
        """At level quick with fewer steps, else as its paper has it."""
        short = {**SHORT, **SHORTER[self.dataset]} if self.level == "quick" else {}
        return attack(name, **short.get(name, {}))


def setting(
    options: StudyOptions,
    samples: Mapping[str, int],
    designs: Sequence[str],
    *,
    model: str = "lenet5",
    slow: Mapping[str, int] = MappingProxyType({}),
    more: Mapping[str, nn.Module] = MappingProxyType({}),
    **choices: str,
) -> Setting:
    """`samples` by level, of the embedded test images (full: the whole test set), in the order of the file; at level
    quick those that the network and all victims but the control classify rightly, as no other counts. `designs`
    computed as exact products of masked operands where they can be, else gate by gate; `choices` as in `approximate`.
    `slow`: samples by level of the attacks in SLOW, where these get fewer; `more`: victims that are no designs.
    """
    model_entry(model)
    images, labels = load_test_images(model=model, data=options.data, folder=options.data_folder)
    count = samples[options.level]
    base = base_network(model)
    victims = {name: _network(base, name, **choices) for name in designs}
    victims |= more
    chosen = torch.arange(count)
    if options.level == "quick":
        chosen = _rightly_classified([base, *victims.values()], images, labels, count)
    victims[CONTROL] = power_of_two_control(base)
    rest = torch.ones(len(images), dtype=torch.bool)
    rest[chosen] = False
    return Setting(
        model,
        options.level,
        base,
        images[chosen],
        labels[chosen],
        (images[rest], labels[rest]),
        victims,
        min(count, slow.get(options.level, count)),
    )


def within_budget(task: Task, found: Attacked, budget: float) -> tuple[int, int]:
    """(fooled, eligible) of examples crafted in mode "minimum" whose size is within the budget.

    That is what a search for the smallest perturbation gives in mode "budget", without a second search.
    """
    size = distances(task.images, found.crafted.adversarial, task.attack.norm)
    inside = size <= budget
    return int((found.outcome.success & inside).sum()), int((found.outcome.eligible & inside).sum())


def rate_row(subject: str, quantity: str, counts: tuple[int, int], published: float | None, remark: str = "") -> Row:
    """A rate in percent with its Wilson interval; 0 to 100, and said so, where no sample was eligible."""
    fooled, eligible = counts
    low, high = wilson(fooled, eligible)
    interval = (100 * low, 100 * high)
    if not eligible:
        return Row(subject, quantity, 0.0, published, interval, "%", "0 of 0: no eligible sample, no rate")
    note = f"{fooled} of {eligible}" + (f"; {remark}" if remark else "")
    return Row(subject, quantity, 100 * fooled / eligible, published, interval, "%", note)


def rates_verdict(rows: Sequence[Row]) -> Conclusion:
    """The verdict over rows of rates with published numbers, and the counts behind it.

    A rate agrees where its interval, at most DECISIVE points wide, holds the published number; it differs where the
    interval does not; else it decides nothing. In direction: some differ, and all are below NEARLY_ALL.
    """
    compared = [
        (row.measured, row.published, row.interval)
        for row in rows
        if row.published is not None and row.interval is not None and not row.remark.startswith("0 of 0")
    ]
    inside = [(low <= published <= high, high - low <= DECISIVE) for _, published, (low, high) in compared]
    agree, differ = sum(holds and narrow for holds, narrow in inside), sum(not holds for holds, _ in inside)
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


def _rightly_classified(
    networks: Sequence[nn.Module], images: torch.Tensor, labels: torch.Tensor, count: int
) -> torch.Tensor:
    """Indices of the first `count` images that all networks classify rightly, or of all such where there are fewer."""
    indices: list[int] = []
    for candidates in torch.split(torch.arange(len(images)), count):
        for network in networks:
            candidates = (
                candidates[predict(network, images[candidates]) == labels[candidates]]
                if len(candidates)
                else candidates
            )
        indices += candidates.tolist()
        if len(indices) >= count:
            break
    return torch.tensor(indices[:count], dtype=torch.int64)


def _network(base: nn.Module, name: str, **choices: str) -> nn.Module:
    try:
        return approximate(base, design(name), compute="lowered", **choices)  # type: ignore[arg-type]
    except DesignError:
        return approximate(base, design(name), **choices)  # type: ignore[arg-type]
