"""Own study: what of the claims survives on LeNet-5s of other training, with intervals that contain the networks.

Rates of one network have intervals over images, which say nothing about the next network. Here every number is measured
on five LeNet-5s that differ in seed, training images, length and loss. The mean over networks gets a bootstrap
interval: networks are drawn with replacement, then for each the images that count, and the deviations from the mean are
stretched by sqrt(k / (k - 1)), since k networks show too little of their variance. "Depends on the network" means that
the 95 % interval of one network lies on one side of the claim's limit and that of another on the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import seaborn
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from circuits.drawing.figure_files import render
from circuits.support.statistics import paired_difference_interval, wilson
from cnn_eval.attacks.shared.attack_modes import Mode
from cnn_eval.measure.confidence import confidence
from cnn_eval.measure.network_accuracy import load_test_images
from cnn_eval.models.inference import logits, predict
from cnn_eval.models.registry import weights_record
from cnn_eval.scenarios.success import judge
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import DEPENDS, KEPT, NEARLY_ALL, SELDOM
from studies.paper import figure12, table2, table8, table10
from studies.rows.attack_rows import PUBLISHED_NAMES, Setting, setting
from studies.rows.further_victims import ALL_LAYERS
from studies.rows.sampled_rows import LOSS

TITLE = "transfer, accuracy and confidence over five LeNet-5s of different training"
SOURCE = "own; DA tables 2, 8 and 10, figure 12"
TOLERANCE = 0.1
NETWORKS = ("lenet5", "lenet5_plain", "lenet5_brief", "lenet5_long", "lenet5_smooth")
DESIGNS = ("axfpm", "axfpm_released", "heap")
FURTHER = {"all_layers": ("axfpm_released",), "matched": ("axfpm_released", "heap")}
_AXFPM = ("axfpm", "axfpm_released", f"axfpm_released{ALL_LAYERS}")
TRANSFER: Mapping[str, Mapping[str, float]] = {**dict.fromkeys(_AXFPM, table2.PUBLISHED), "heap": table10.HEAP}
"""Victim -> attack by its name in the paper -> published transfer rate, %."""
LOSSES = {
    victim: round(table8.PUBLISHED[name][0] - table8.PUBLISHED["exact"][0], 2)
    for name, victims in (("axfpm", _AXFPM), ("heap", ("heap",)))
    for victim in victims
}
RAISED = dict.fromkeys(_AXFPM, figure12.PUBLISHED["axfpm"] - figure12.PUBLISHED["exact"])
"""Published rise of the share of confident images, percentage points."""
ATTACKS = {
    "quick": ("fgsm", "pgd", "deepfool"),
    "default": ("fgsm", "pgd", "deepfool", "cw"),
    "full": tuple(PUBLISHED_NAMES),
}
SAMPLES = {"quick": 24, "default": 100, "full": 500}
CLEAN = {"quick": 500, "default": 2000, "full": 10_000}
"""Images behind accuracy and confidence."""
STRETCH = 1.5
"""Factor on the smallest perturbations that gives them a margin."""
DRAWS = 2000
"""Bootstrap samples."""
PAIRS = (("heap", "axfpm"), ("axfpm_released", "axfpm"))
"""Victims that are compared with each other on the same examples."""
Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """One quantity of one victim on one network, image by image.

    `values` are -1, 0 or 1 for the images that count: whether one is fooled, or what changed on it. `interval` is that
    of their mean on this network alone, in percent as `rate` is.
    """

    values: NDArray[np.int64]
    interval: tuple[float, float]

    @property
    def rate(self) -> float:
        """The mean in percent; 0 without images."""
        return 100 * float(self.values.mean()) if self.values.size else 0.0


def shared(fooled: Bits) -> Measured:
    """Of the eligible images, which are fooled."""
    low, high = wilson(int(fooled.sum()), fooled.size)
    return Measured(fooled.astype(np.int64), (100 * low, 100 * high))


def changed(own: Bits, other: Bits) -> Measured:
    """On the same images, what holds for one network less what holds for the other, with the interval for pairs."""
    values = own.astype(np.int64) - other.astype(np.int64)
    low, high = paired_difference_interval(int((values > 0).sum()), int((values < 0).sum()), values.size)
    return Measured(values, (100 * low, 100 * high))


Found = dict[tuple[str, str], Measured]
"""(victim, quantity) -> what was measured on one network."""


def run(options: StudyOptions) -> StudyResult:
    """Attacks every network and tries the examples on its own victims. Levels quick and default use embedded images."""
    found: dict[str, Found] = {}
    for name in NETWORKS:
        attacks = setting(options, SAMPLES, DESIGNS, model=name, further=FURTHER)
        found[name] = {**_transfers(attacks, ATTACKS[options.level]), **_clean(attacks, options)}
    rows = rows_of(found)
    return StudyResult(
        rows,
        "measured",
        reason(rows),
        {
            "networks": {name: weights_record(name)["sha256"] for name in NETWORKS},
            "level": options.level,
            "data": options.data,
            "samples": SAMPLES[options.level],
            "clean_images": CLEAN[options.level],
            "attacks": list(ATTACKS[options.level]),
            "bootstrap": {"draws": DRAWS, "seed": 0, "over": "networks, then images"},
        },
        render(lambda: _figure(rows), salt="several_networks", style=seaborn.axes_style("whitegrid")),
    )


def _transfers(attacks: Setting, names: Sequence[str]) -> Found:
    """Crafts examples on the exact network: the smallest, those with a margin, and those that spend a budget."""
    found: Found = {}
    for key in names:
        published_name = PUBLISHED_NAMES[key]
        task = attacks.task(key, "minimum")
        images, labels = task.images, task.labels
        smallest = task.craft(attacks.base, "the exact network").adversarial
        sets = {"smallest": smallest, f"x {STRETCH:g}": (images + STRETCH * (smallest - images)).clamp(0, 1)}
        if task.attack.norm == "linf":
            mode: Mode = "budget"
            spent = attacks.task(key, mode).craft(attacks.base, "the exact network").adversarial
            sets[f"linf <= {attacks.budgets['linf']:g}"] = spent
        clean = predict(attacks.base, images)
        for kind, adversarial in sets.items():
            crafted = predict(attacks.base, adversarial)
            successes: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
            for victim, network in attacks.victims.items():
                outcome = judge(network, images, adversarial, labels, source_clean=clean, source_adversarial=crafted)
                successes[victim] = outcome.eligible, outcome.success
                found[victim, f"{published_name}, {kind}"] = shared(outcome.success[outcome.eligible].numpy())
            for one, other in PAIRS:
                both = successes[one][0] & successes[other][0]
                pair = changed(successes[one][1][both].numpy(), successes[other][1][both].numpy())
                found[f"{one} less {other}", f"{published_name}, {kind}"] = pair
    return found


def _clean(attacks: Setting, options: StudyOptions) -> Found:
    """Loss of accuracy and rise of confidence on clean images, paired with the exact network."""
    images, labels = load_test_images(model=attacks.model, data=options.data, folder=options.data_folder)
    images, labels = images[: CLEAN[options.level]], labels[: CLEAN[options.level]]

    def measure(network: nn.Module) -> tuple[Bits, Bits]:
        values = logits(network, images)
        return (values.argmax(1) == labels).numpy(), (confidence(values, labels) > figure12.THRESHOLD).numpy()

    right, confident = measure(attacks.base)
    found: Found = {("exact", CONFIDENT): shared(confident)}
    for victim, network in attacks.victims.items():
        own_right, own_confident = measure(network)
        found[victim, LOSS] = changed(own_right, right)
        found[victim, CONFIDENT_MORE] = changed(own_confident, confident)
    return found


CONFIDENT = f"confidence above {figure12.THRESHOLD}"
CONFIDENT_MORE = f"{CONFIDENT}, less exact"


def rows_of(found: Mapping[str, Found]) -> list[Row]:
    """Returns the row over all networks of each victim and quantity, then one for each network."""
    rows = []
    first = next(iter(found.values()))
    victims = list(dict.fromkeys(victim for victim, _ in first))
    for victim, quantity in sorted(first, key=lambda key: victims.index(key[0])):
        each = {name: measured[victim, quantity] for name, measured in found.items()}
        unit = "points" if "less" in victim or "less" in quantity else "%"
        mean, interval = over_networks(list(each.values()), signed=unit == "points")
        published, limit = _published(victim, quantity), _limit(victim, quantity)
        if quantity == CONFIDENT_MORE and published is not None:
            room = [100 - found[name]["exact", CONFIDENT].rate for name in each]
            remark = f"room for {min(room):.0f} to {max(room):.0f} points"
        else:
            remark = ""
        if limit is not None:
            remark = "; ".join(filter(None, (sides(list(each.values()), limit), remark)))
        rows.append(Row(victim, f"{quantity}, {OVER}", mean, published, interval, unit, remark))
        for name, measured in each.items():
            note = f"{measured.values.size} images"
            rows.append(Row(victim, f"{quantity}, on {name}", measured.rate, None, measured.interval, unit, note))
    return rows


OVER = f"over {len(NETWORKS)} networks"


def _published(victim: str, quantity: str) -> float | None:
    attack, _, kind = quantity.partition(", ")
    if kind == "smallest":
        return TRANSFER.get(victim, {}).get(attack)
    return {LOSS: LOSSES, CONFIDENT_MORE: RAISED}.get(quantity, {}).get(victim)


def _limit(victim: str, quantity: str) -> float | None:
    """The number that a claim's direction compares with."""
    if quantity == LOSS:
        return -KEPT
    if quantity == CONFIDENT_MORE or " less " in victim:
        return 0.0
    if quantity == CONFIDENT:
        return None
    return SELDOM if quantity.endswith(", smallest") else NEARLY_ALL


def sides(each: Sequence[Measured], limit: float) -> str:
    """Says on how many networks a number is surely below or above a limit; depends on the network if on both sides."""
    below, above = (sum(m.interval[1] < limit for m in each), sum(m.interval[0] > limit for m in each))
    text = f"surely below {limit:g} on {below}, above on {above} of {len(each)}"
    return f"{DEPENDS}: {text}" if below and above else text


def over_networks(
    each: Sequence[Measured], *, signed: bool = False, seed: int = 0
) -> tuple[float, tuple[float, float] | None]:
    """Returns the mean over networks in percent and its bootstrap interval; none for under two networks with images.

    `signed`: the values are differences, which may be negative.
    """
    values = [measured.values for measured in each if measured.values.size]
    if len(values) < 2:
        return (100 * float(values[0].mean()) if values else 0.0), None
    stream = np.random.default_rng(seed)
    # A mean over n images drawn with replacement from values in {-1, 0, 1} follows the multinomial distribution.
    shares = np.array([[(v == s).mean() for s in (-1, 0, 1)] for v in values])
    drawn = stream.integers(0, len(values), (DRAWS, len(values)))
    sizes = np.array([v.size for v in values])
    counts = stream.multinomial(sizes[drawn], shares[drawn])
    means = ((counts[..., 2] - counts[..., 0]) / sizes[drawn]).mean(1)
    centre = float(np.mean([v.mean() for v in values]))
    stretched = centre + (means - centre) * math.sqrt(len(values) / (len(values) - 1))
    # Stretching must not lead beyond what a mean can be: a share lies in [0, 1], a difference in [-1, 1].
    least = -1.0 if signed else 0.0
    low, high = np.clip(np.quantile(stretched, [0.025, 0.975]), least, 1.0)
    return 100 * centre, (100 * float(low), 100 * float(high))


def reason(rows: Sequence[Row]) -> str:
    """What holds on all networks, and what depends on them."""
    pooled = [row for row in rows if row.quantity.endswith(OVER)]
    smallest = [row for row in pooled if row.subject in TRANSFER and ", smallest" in row.quantity]
    others = [
        row for row in pooled if row.subject in TRANSFER and (" linf <= " in row.quantity or " x " in row.quantity)
    ]
    depending = [f"{row.subject}, {row.quantity.removesuffix(f', {OVER}')}" for row in pooled if DEPENDS in row.remark]

    def span(of: Sequence[Row]) -> str:
        return f"{min(row.measured for row in of):.0f} to {max(row.measured for row in of):.0f} %"

    return (
        f"means over {len(NETWORKS)} networks: of the smallest perturbations {span(smallest)} transfer, of those with "
        f"a margin or a budget {span(others)}; {DEPENDS}: {', '.join(depending) or 'nothing'}."
    )


def _figure(rows: Sequence[Row]) -> Figure:
    """Draws each number with a published one: a dot for each network, the mean with its interval, the published."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    panels: dict[str, list[Row]] = {}
    for row in rows:
        if row.published is not None:
            panels.setdefault(row.unit, []).append(row)
    blue, orange, *_ = seaborn.color_palette("colorblind")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[1 + len(panel) for panel in panels.values()])
    for axes, (unit, panel) in zip(grid.flat, panels.items(), strict=True):
        for height, row in enumerate(reversed(panel)):
            own = row.quantity.removesuffix(OVER)
            each = [r.measured for r in rows if r.subject == row.subject and r.quantity.startswith(f"{own}on ")]
            axes.plot(each, [height] * len(each), "o", color=blue, markersize=4, alpha=0.5, label="each network")
            if row.interval:
                axes.plot(
                    row.interval, [height, height], color=blue, linewidth=2, label="95 % over networks and images"
                )
            axes.plot([row.measured], [height], "|", color=blue, markersize=12, label="mean")
            axes.plot([row.published], [height], "X", color=orange, markersize=8, label="published")
        names = [f"{row.subject}: {row.quantity.removesuffix(f', {OVER}')}" for row in reversed(panel)]
        axes.set_yticks(range(len(panel)), names, fontsize=8)
        axes.set_ylim(-0.6, len(panel) - 0.4)
        axes.set_xlabel(unit, fontsize=8)
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure
