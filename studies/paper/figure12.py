"""DA figure 12: cumulative distribution of the classification confidence of the exact and approximate LeNet-5."""

from __future__ import annotations

import seaborn
import torch
from matplotlib.figure import Figure

from circuits import design
from circuits.drawing.figure_files import render
from circuits.support.statistics import wilson
from cnn_eval.measure.confidence import ConfidenceDistribution, confidence_distribution
from cnn_eval.measure.network_accuracy import base_network, load_test_images, network
from cnn_eval.models.registry import weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import verdict
from studies.rows.further_victims import ALL_LAYERS, further_victims

TITLE = "classification confidence of the exact and the approximate LeNet-5"
SOURCE = "DA figure 12, section 6"
TOLERANCE = 0.01
THRESHOLD = 0.8
AXFPM = ("axfpm", "axfpm_tiled", "axfpm_released")
ALL = f"axfpm_released{ALL_LAYERS}"
PUBLISHED = {"exact": 20.0, **dict.fromkeys((*AXFPM, ALL), 74.5)}
"""Percentage of images above the threshold. For the exact network, the text says less than 20."""
PER_CLASS = {"quick": 20, "default": 100, "full": 100}


def run(options: StudyOptions) -> StudyResult:
    """Measures confidence on the first images of every class. DA uses 100 random images per class.

    Level full takes the images from the whole test set.
    """
    images, labels = load_test_images(model="lenet5", data=options.data, folder=options.data_folder)
    indices = torch.cat([(labels == label).nonzero()[: PER_CLASS[options.level], 0] for label in range(10)])
    images, labels = images[indices], labels[indices]
    base = base_network("lenet5")
    networks = {
        "exact": base,
        **{name: network(design(name)) for name in AXFPM},
        CONTROL: power_of_two_control(base),
        **further_victims(base, "lenet5", options.level, all_layers=("axfpm_released",), matched=("axfpm_released",)),
    }
    distributions = {name: confidence_distribution(net, images, labels) for name, net in networks.items()}
    rows = []
    for name, distribution in distributions.items():
        count = round(distribution.above(THRESHOLD) * len(labels))
        low, high = wilson(count, len(labels))
        rows.append(
            Row(
                name,
                f"confidence above {THRESHOLD}",
                100 * count / len(labels),
                PUBLISHED.get(name),
                (100 * low, 100 * high),
                "%",
                "published: less than" if name == "exact" else "",
            )
        )
        rows.append(Row(name, "median confidence", float(distribution.values[len(labels) // 2])))
        if name != "exact":
            increase = 100 * (count / len(labels) - distributions["exact"].above(THRESHOLD))
            rows.append(Row(name, f"confidence above {THRESHOLD}, less exact", increase, unit="points"))
    exact, *others = (100 * distributions[name].above(THRESHOLD) for name in ("exact", *AXFPM))
    shares = ", ".join(f"{share:.1f} % on {name}" for name, share in zip(AXFPM, others, strict=True))
    control = 100 * distributions[CONTROL].above(THRESHOLD)
    return StudyResult(
        rows,
        # A network that already exceeds the threshold on most images leaves no room for the published increase.
        verdict(
            reproduced=False,
            in_direction=min(others) > exact,
            room=100 - exact >= PUBLISHED["axfpm"] - PUBLISHED["exact"],
        ),
        f"{exact:.1f} % of the images exceed {THRESHOLD} on the exact network (published: under "
        f"{PUBLISHED['exact']:g}), {shares}, {control:.1f} % on the control, which only scales weights up: a softmax's "
        "confidence grows with the logits, whatever the image.",
        {"data": options.data, "images": len(labels), "weights_sha256": weights_record("lenet5")["sha256"]},
        render(lambda: _figure(distributions), salt="figure12", style=seaborn.axes_style("whitegrid")),
    )


def _figure(distributions: dict[str, ConfidenceDistribution]) -> Figure:
    """Draws the cumulative distributions, with the published shares above the threshold as stars."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    colours = seaborn.color_palette("colorblind")
    for (name, distribution), style, colour in zip(
        distributions.items(), ("-", "-", "--", "-.", ":", "-", ":"), colours, strict=False
    ):
        axes.step(*distribution.curve(), style, where="post", label=name, color=colour)
    for name, share in {"exact": PUBLISHED["exact"], "axfpm": PUBLISHED["axfpm"]}.items():
        colour = colours[list(distributions).index(name)]
        axes.plot([THRESHOLD], [1 - share / 100], "*", color=colour, markeredgecolor="black", markersize=12)
    axes.plot([], [], "*", color="white", markeredgecolor="black", markersize=12, label="published")
    axes.set_xlabel("confidence: softmax of the true class less the best other")
    axes.set_ylabel("share of images with at most that")
    axes.legend()
    return figure
