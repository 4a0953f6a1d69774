"""DA section 7.2: whether a network in bfloat16 resists attacks that were crafted on the float32 one."""

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
"""The multiplier alone, in the convolutions, gate by gate, with sums in float32; and every operand and result of the
network in torch's bfloat16, as DA has it."""
SAMPLES = {
    "lenet5": {"quick": 40, "default": 200, "full": 1000},
    "alexnet": {"quick": 16, "default": 100, "full": 1000},
}
SLOW = {"lenet5": {"default": 60, "full": 200}, "alexnet": {"quick": 5, "default": 16, "full": 200}}
"""Samples of C&W where they are fewer."""
IMAGES = {"lenet5": {"quick": 1000, "default": 2000}, "alexnet": {"quick": 200, "default": 1000}}
"""For accuracy and confidence, by level; at full all test images."""
NO_GAIN = 90.0
"""Percent that must transfer for "no improvement in the robustness"; as in an audit."""
UNCHANGED = 0.01
"""Mean change of confidence, which lies in [-1, 1], that counts as none."""


def run(options: StudyOptions) -> StudyResult:
    """Quick and default on embedded images; the exact network itself transfers to 100 % but for the order of sums."""
    rows: list[Row] = []
    found: dict[str, list[Rate]] = {}
    changes: dict[str, tuple[float, float]] = {}
    settings = {}
    for model, shown in MODELS.items():
        base = base_network(model)
        made = setting(
            options,
            SAMPLES[model],
            ("exact", "bfloat16"),
            model=model,
            slow=SLOW[model],
            more={WHOLE: Bfloat16(base)},
        )
        found[shown] = transfer_rows.rates(made, ATTACKS)
        rows += [rate.row({}, subject=f"{shown}: {rate.victim}") for rate in found[shown]]
        networks = {"exact": base} | {name: made.victims[name] for name in BFLOAT16}
        images, labels = load_test_images(
            model=model,
            data="full" if options.level == "full" else "embedded",
            folder=options.folder if options.level == "full" else None,
        )
        count = IMAGES[model].get(options.level, len(images))
        more, moved = _unchanged(shown, networks, images[:count], labels[:count], PUBLISHED[model])
        rows += more
        changes |= moved
        settings[model] = {**made.record(list(ATTACKS)), "images": count}
    subjects = list(dict.fromkeys(row.subject for row in rows))
    rows.sort(key=lambda row: subjects.index(row.subject))
    said, told = _verdict(found, changes)
    figures = render(lambda: _figure(found), salt="bfloat16_transfer", style=seaborn.axes_style("whitegrid"))
    return StudyResult("bfloat16_transfer", TITLE, SOURCE, rows, said, told, settings, figures)


def _unchanged(
    shown: str,
    networks: Mapping[str, nn.Module],
    images: torch.Tensor,
    labels: torch.Tensor,
    published: Mapping[str, float],
) -> tuple[list[Row], dict[str, tuple[float, float]]]:
    """Accuracy and confidence of the networks, the latter also less exact; (points of accuracy, mean change of
    confidence) by subject."""
    rows: list[Row] = []
    moved: dict[str, tuple[float, float]] = {}
    outputs = {name: logits(network, images) for name, network in networks.items()}
    right = {name: AccuracyResult((values.argmax(1) == labels).numpy()) for name, values in outputs.items()}
    sure = {name: confidence(values, labels) for name, values in outputs.items()}
    for name in networks:
        subject = f"{shown}: {name}"
        low, high = wilson(int(right[name].correct.sum()), len(labels))
        number = published["Float32" if name == "exact" else "Bfloat16"]
        accuracy = 100 * right[name].accuracy
        rows.append(Row(subject, "accuracy", accuracy, number, (100 * low, 100 * high), "%", f"{len(labels)} images"))
        if name == "exact":
            continue
        points, (least, most) = difference(right[name], right["exact"])
        expected = published["Bfloat16"] - published["Float32"]
        rows.append(
            Row(subject, "accuracy less exact", 100 * points, expected, (100 * least, 100 * most), "points", "paired")
        )
        change = sure[name] - sure["exact"]
        mean = float(change.mean())
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
        moved[subject] = (100 * points, mean)
    return rows, moved


def _verdict(found: Mapping[str, Sequence[Rate]], changes: Mapping[str, tuple[float, float]]) -> tuple[str, str]:
    """Reproduced: at least NO_GAIN percent transfer to bfloat16 by every attack, of the smallest examples too, and
    neither accuracy nor confidence changes; in direction: that holds for examples that spend a budget, and of the
    smallest ones more transfer to bfloat16 than to the control."""
    told, more = [], True
    for shown, rates in found.items():
        texts = []
        for victims in (BFLOAT16, (CONTROL,)):
            chosen = [rate for rate in rates if rate.victim in victims]
            spent = transfer_rows.share(rate for rate in chosen if rate.spends) or 0.0
            smallest = transfer_rows.share(rate for rate in chosen if rate.mode == "minimum") or 0.0
            texts.append((spent, smallest))
        (spent, smallest), (control_spent, control_smallest) = texts
        more &= smallest > control_smallest
        told.append(
            f"{shown}: {spent:.0f} % of the examples that spend a budget and {smallest:.0f} % of the smallest transfer "
            f"to bfloat16 ({control_spent:.0f} % and {control_smallest:.0f} % to the control)"
        )
    tried = [rate for rates in found.values() for rate in rates if rate.victim in BFLOAT16]
    gained = [rate for rate in tried if 100 * rate.fooled < NO_GAIN * rate.eligible or not rate.eligible]
    points = max(abs(points) for points, _ in changes.values())
    change = max(abs(mean) for _, mean in changes.values())
    same = points <= CLOSE and change <= UNCHANGED
    said = "not reproduced"
    if same and not any(rate.mode == "minimum" or rate.spends for rate in gained):
        said = "reproduced"
    elif same and more and not any(rate.spends for rate in gained):
        said = "reproduced in direction"
    return said, (
        f"{'; '.join(told)}. Accuracy moves by {points:.2f} points and the mean confidence by {change:.2g} at most."
    )


def _figure(found: Mapping[str, Sequence[Rate]]) -> Figure:
    """A panel a network, a line an attack and mode, a dot with its interval for each victim."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False).flat
    colours = seaborn.color_palette("colorblind", 4)
    for axes, (shown, rates) in zip(panels, found.items(), strict=True):
        quantities = list(dict.fromkeys(rate.quantity for rate in rates))
        victims = zip(("exact", *BFLOAT16, CONTROL), colours, "os^X", strict=True)
        for place, (victim, colour, marker) in enumerate(victims):
            mine = [rate for rate in rates if rate.victim == victim and rate.eligible]
            heights = [-quantities.index(rate.quantity) + 0.27 - 0.18 * place for rate in mine]
            ends = [[100 * end for end in wilson(rate.fooled, rate.eligible)] for rate in mine]
            axes.hlines(heights, [low for low, _ in ends], [high for _, high in ends], color=colour, linewidth=1.5)
            values = [100 * rate.fooled / rate.eligible for rate in mine]
            axes.plot(values, heights, marker, color=colour, markersize=5, label=victim)
        axes.axvline(NO_GAIN, color="0.3", linewidth=0.8, linestyle="--", label=f"{NO_GAIN:g} %: no gain from there on")
        axes.set_yticks([-k for k in range(len(quantities))], quantities, fontsize=9)
        axes.set_xlim(-3, 103)
        axes.set_xlabel("transfer rate [%]")
        axes.set_title(shown, fontsize=10)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure
