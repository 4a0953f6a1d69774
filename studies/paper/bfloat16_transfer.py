"""DA section 7.2: tests whether a bfloat16 network resists attacks crafted on the float32 network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import seaborn
import torch
from matplotlib.figure import Figure
from torch import nn

from circuits.drawing.figure_files import render
from circuits.support.statistics import normal_quantile, wilson
from cnn_eval.measure.confidence import confidence
from cnn_eval.measure.network_accuracy import AccuracyResult, base_network, difference, load_test_images
from cnn_eval.models.inference import logits
from cnn_eval.models.quantization import Bfloat16
from cnn_eval.scenarios.control import CONTROL
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import NEARLY_ALL, Conclusion, verdict
from studies.paper.table6 import CLOSE, PUBLISHED
from studies.rows import transfer_rows
from studies.rows.attack_rows import setting
from studies.rows.transfer_rows import Rate

TITLE = "transfer of attacks from float32 to bfloat16 networks, their accuracy and confidence"
SOURCE = "DA section 7.2"
TOLERANCE = 0.1
MODELS = {"lenet5": "LeNet-5, MNIST", "alexnet": "AlexNet, CIFAR-10"}
ATTACKS = {"fgsm": "FGSM", "pgd": "PGD", "cw": "C&W"}
WHOLE = "bfloat16, whole"
BFLOAT16 = ("bfloat16", WHOLE)
"""Two readings of "in bfloat16".

- "bfloat16": only the products of the convolutions, computed gate by gate and summed in float32.
- WHOLE: every operand and result of the network, in torch's bfloat16, as in DA.
"""
SAMPLES = {
    "lenet5": {"quick": 40, "default": 200, "full": 1000},
    "alexnet": {"quick": 16, "default": 100, "full": 1000},
}
SLOW = {"lenet5": {"default": 60, "full": 200}, "alexnet": {"quick": 5, "default": 16, "full": 200}}
"""Number of samples for C&W, where it is smaller."""
IMAGES = {"lenet5": {"quick": 1000, "default": 2000}, "alexnet": {"quick": 200, "default": 1000}}
"""Number of images for accuracy and confidence per level. Level full uses all test images."""
UNCHANGED = 0.01
"""Largest mean change of confidence that counts as none. Confidence lies in [-1, 1]."""


def run(options: StudyOptions) -> StudyResult:
    """Measures transfer, accuracy and confidence. Levels quick and default use embedded images.

    The row of the exact network is a check: it differs from the source only in the order of summation, so that nearly
    100 % must transfer.
    """
    rows: list[Row] = []
    rates: dict[str, list[Rate]] = {}
    changes: dict[str, tuple[float, float]] = {}
    settings = {}
    for model, title in MODELS.items():
        base = base_network(model)
        attacks = setting(
            options,
            SAMPLES[model],
            ("exact", "bfloat16"),
            model=model,
            slow=SLOW[model],
            extra_victims={WHOLE: Bfloat16(base)},
        )
        rates[title] = transfer_rows.rates(attacks, ATTACKS)
        rows += [rate.row({}, subject=f"{title}: {rate.victim}") for rate in rates[title]]
        networks = {"exact": base} | {name: attacks.victims[name] for name in BFLOAT16}
        images, labels = load_test_images(
            model=model,
            data=options.data,
            folder=options.data_folder,
        )
        count = IMAGES[model].get(options.level, len(images))
        precision_rows, precision_changes = _unchanged(
            title, networks, images[:count], labels[:count], PUBLISHED[model]
        )
        rows += precision_rows
        changes |= precision_changes
        settings[model] = {**attacks.record(list(ATTACKS)), "images": count}
    subjects = list(dict.fromkeys(row.subject for row in rows))
    rows.sort(key=lambda row: subjects.index(row.subject))
    conclusion, reason = conclude(rates, changes)
    figures = render(lambda: _figure(rates), salt="bfloat16_transfer", style=seaborn.axes_style("whitegrid"))
    return StudyResult(rows, conclusion, reason, settings, figures)


def _unchanged(
    title: str,
    networks: Mapping[str, nn.Module],
    images: torch.Tensor,
    labels: torch.Tensor,
    published: Mapping[str, float],
) -> tuple[list[Row], dict[str, tuple[float, float]]]:
    """Compares accuracy and confidence of the networks with those of the exact one.

    Returns the rows, and subject -> (change of accuracy in percentage points, mean change of confidence).
    """
    rows: list[Row] = []
    changes: dict[str, tuple[float, float]] = {}
    outputs = {name: logits(network, images) for name, network in networks.items()}
    accuracies = {name: AccuracyResult((values.argmax(1) == labels).numpy()) for name, values in outputs.items()}
    confidences = {name: confidence(values, labels) for name, values in outputs.items()}
    for name in networks:
        subject = f"{title}: {name}"
        low, high = wilson(int(accuracies[name].correct.sum()), len(labels))
        published_accuracy = published["Float32" if name == "exact" else "Bfloat16"]
        accuracy = 100 * accuracies[name].accuracy
        rows.append(
            Row(
                subject, "accuracy", accuracy, published_accuracy, (100 * low, 100 * high), "%", f"{len(labels)} images"
            )
        )
        if name == "exact":
            continue
        points, (least, most) = difference(accuracies[name], accuracies["exact"])
        expected = published["Bfloat16"] - published["Float32"]
        rows.append(
            Row(subject, "accuracy less exact", 100 * points, expected, (100 * least, 100 * most), "points", "paired")
        )
        change = confidences[name] - confidences["exact"]
        mean = float(change.mean())
        # The change is paired image by image; the interval is the normal one, mean +- z s / sqrt(n).
        half = normal_quantile(0.95) * float(change.std()) / math.sqrt(len(labels))
        rows.append(
            Row(
                subject,
                "mean confidence less exact",
                mean,
                interval=(mean - half, mean + half),
                remark=f"largest change of an image {float(change.abs().max()):.2g}",
            )
        )
        changes[subject] = (100 * points, mean)
    return rows, changes


def conclude(rates_by_network: Mapping[str, Sequence[Rate]], changes: Mapping[str, tuple[float, float]]) -> Conclusion:
    """Concludes from the transfer rates, and the changes of accuracy and confidence.

    Reproduced: for every attack, at least NEARLY_ALL percent of the examples transfer to bfloat16, including the
    minimum-norm ones, and neither accuracy nor confidence changes. In direction: this holds for the examples that spend
    a budget, and more of the minimum-norm examples transfer to bfloat16 than to the control.
    """
    texts, above_control = [], True
    for title, rates in rates_by_network.items():
        shares = []
        for victims in (BFLOAT16, (CONTROL,)):
            victim_rates = [rate for rate in rates if rate.victim in victims]
            spent = transfer_rows.share(rate for rate in victim_rates if rate.spends) or 0.0
            smallest = transfer_rows.share(rate for rate in victim_rates if rate.mode == "minimum") or 0.0
            shares.append((spent, smallest))
        (spent, smallest), (control_spent, control_smallest) = shares
        above_control &= smallest > control_smallest
        texts.append(
            f"{title}: {spent:.0f} % of the examples that spend a budget and {smallest:.0f} % of the smallest transfer "
            f"to bfloat16 ({control_spent:.0f} % and {control_smallest:.0f} % to the control)"
        )
    bfloat16_rates = [rate for rates in rates_by_network.values() for rate in rates if rate.victim in BFLOAT16]
    resisting = [rate for rate in bfloat16_rates if 100 * rate.fooled < NEARLY_ALL * rate.eligible or not rate.eligible]
    points = max(abs(points) for points, _ in changes.values())
    change = max(abs(mean) for _, mean in changes.values())
    unchanged = points <= CLOSE and change <= UNCHANGED
    return verdict(
        reproduced=unchanged and not any(rate.mode == "minimum" or rate.spends for rate in resisting),
        in_direction=unchanged and above_control and not any(rate.spends for rate in resisting),
    ), (f"{'; '.join(texts)}. Accuracy moves by {points:.2f} points and the mean confidence by {change:.2g} at most.")


def _figure(rates_by_network: Mapping[str, Sequence[Rate]]) -> Figure:
    """Draws one panel per network and one line per attack and mode, with a dot and its interval for each victim."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, len(rates_by_network), squeeze=False).flat
    colours = seaborn.color_palette("colorblind", 4)
    for axes, (title, rates) in zip(panels, rates_by_network.items(), strict=True):
        quantities = list(dict.fromkeys(rate.quantity for rate in rates))
        victims = zip(("exact", *BFLOAT16, CONTROL), colours, "os^X", strict=True)
        for rank, (victim, colour, marker) in enumerate(victims):
            victim_rates = [rate for rate in rates if rate.victim == victim and rate.eligible]
            heights = [-quantities.index(rate.quantity) + 0.27 - 0.18 * rank for rate in victim_rates]
            ends = [[100 * end for end in wilson(rate.fooled, rate.eligible)] for rate in victim_rates]
            axes.hlines(heights, [low for low, _ in ends], [high for _, high in ends], color=colour, linewidth=1.5)
            values = [100 * rate.fooled / rate.eligible for rate in victim_rates]
            axes.plot(values, heights, marker, color=colour, markersize=5, label=victim)
        axes.axvline(
            NEARLY_ALL, color="0.3", linewidth=0.8, linestyle="--", label=f"{NEARLY_ALL:g} %: no gain from there on"
        )
        axes.set_yticks([-k for k in range(len(quantities))], quantities, fontsize=9)
        axes.set_xlim(-3, 103)
        axes.set_xlabel("transfer rate [%]")
        axes.set_title(title, fontsize=10)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure
