"""What the studies of attacks share: attacks and samples by level, victims with the control, rows and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from circuits import DesignError, design
from circuits.statistics import wilson
from cnn_eval.accuracy import base_network, load_test_images
from cnn_eval.attacks import Attack, Mode, Norm, attack, distances
from cnn_eval.crafted import default_cache
from cnn_eval.layers import approximate
from cnn_eval.models import model_entry, weights_record
from cnn_eval.scenarios import Attacked, Task, power_of_two_control
from studies.study import Row, StudyOptions

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
BUDGETS: Mapping[Norm, float] = {"linf": 0.2, "l2": 1.5, "l0": 112}
"""Of mode "budget", as FACTS and the attacks' papers use them on MNIST: 112 values are JSMA's 14.5 %."""
SHORT: Mapping[str, Mapping[str, float]] = {
    "pgd": {"steps": 20, "relative_step": 0.125, "bisections": 8},
    "cw": {"binary_search_steps": 5, "steps": 150, "initial_const": 1.0},
    "boundary": {"steps": 6000, "spherical_step": 0.05, "source_step": 0.05},
    "hopskipjump": {"steps": 12},
    "ddn": {"steps": 100},
}
"""Level quick: shorter searches, which end with larger perturbations, so that more of them transfer, if any differ."""
CONTROL = "control"


@dataclass(frozen=True)
class Setting:
    """A study's network, samples and victims."""

    model: str
    level: str
    base: nn.Module
    images: torch.Tensor
    labels: torch.Tensor
    rest: torch.Tensor
    victims: Mapping[str, nn.Module]

    def task(self, name: str, mode: Mode) -> Task:
        """The attack `name` at the study's level, in one mode."""
        made = made_attack(name, self.level)
        return Task(
            attack=made,
            mode=mode,
            epsilon=BUDGETS[made.norm] if mode == "budget" else None,
            images=self.images,
            labels=self.labels,
            cache=default_cache(),
            progress=True,
        )

    def record(self) -> dict[str, Any]:
        """All that the numbers depend on."""
        return {
            "model": self.model,
            "weights_sha256": weights_record(self.model)["sha256"],
            "samples": len(self.images),
            "data": "full" if self.level == "full" else "embedded",
            "attacks": [made_attack(name, self.level).settings(mode="minimum") for name in PUBLISHED_NAMES],
            "budgets": dict(BUDGETS),
        }


def setting(
    options: StudyOptions, samples: Mapping[str, int], designs: Sequence[str], *, model: str = "lenet5", **choices: str
) -> Setting:
    """`samples` by level, of the embedded test images (full: the whole test set), in the order of the file; `designs`
    computed as exact products of masked operands where they can be, else gate by gate; `choices` as in `approximate`.
    """
    model_entry(model)
    data = "full" if options.level == "full" else "embedded"
    folder = options.folder if options.level == "full" else None
    images, labels = load_test_images(model=model, data=data, folder=folder)
    count = samples[options.level]
    base = base_network(model)
    victims = {name: _network(base, name, **choices) for name in designs}
    victims[CONTROL] = power_of_two_control(base)
    return Setting(model, options.level, base, images[:count], labels[:count], images[count:], victims)


def made_attack(name: str, level: str) -> Attack:
    """At level quick with fewer steps (SHORT), else as its paper has it."""
    return attack(name, **(SHORT.get(name, {}) if level == "quick" else {}))


def within_budget(task: Task, found: Attacked) -> tuple[int, int]:
    """(fooled, eligible) of examples crafted in mode "minimum" whose size is within the budget of its norm.

    That is what a search for the smallest perturbation gives in mode "budget", without a second search.
    """
    size = distances(task.images, found.crafted.adversarial, task.attack.norm)
    inside = size <= BUDGETS[task.attack.norm]
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


def verdict(rows: Sequence[Row]) -> tuple[str, str]:
    """The verdict over rows of rates with published numbers, and the counts behind it."""
    compared = [row for row in rows if row.published is not None and not row.remark.startswith("0 of 0")]
    inside = sum(
        row.interval is not None and row.interval[0] <= (row.published or 0) <= row.interval[1] for row in compared
    )
    above = sum(row.interval is not None and row.interval[0] > (row.published or 0) for row in compared)
    resist = sum(row.interval is not None and row.interval[1] < 100 for row in compared)
    counts = (
        f"of {len(compared)} rates with a published number, {inside} have it in their interval and {above} are higher; "
        f"{resist} are below 100 %."
    )
    if compared and inside == len(compared):
        return "reproduced", counts
    return ("reproduced in direction" if compared and resist == len(compared) else "not reproduced"), counts


def _network(base: nn.Module, name: str, **choices: str) -> nn.Module:
    try:
        return approximate(base, design(name), mode="lowered", **choices)  # type: ignore[arg-type]
    except DesignError:
        return approximate(base, design(name), **choices)  # type: ignore[arg-type]
