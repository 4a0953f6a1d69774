"""DA figure 12: cumulative distribution of classification confidence, exact and approximate LeNet-5."""

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

TITLE = "classification confidence of the exact and the approximate LeNet-5"
SOURCE = "DA figure 12, section 6"
TOLERANCE = 0.01
THRESHOLD = 0.8
AXFPM = ("axfpm", "axfpm_tiled", "axfpm_released")
PUBLISHED = {"exact": 20.0, **dict.fromkeys(AXFPM, 74.5)}
"""Percent of images above the threshold; of the exact network the text says less than 20."""
RAISED = dict.fromkeys(AXFPM, 74.5 - 20.0)
"""Points more than the exact network's, at least."""
PER_CLASS = {"quick": 20, "default": 100, "full": 100}


def run(options: StudyOptions) -> StudyResult:
    """The first images of every class (the paper: 100 a class, at random); full from the whole test set."""
    data = "full" if options.level == "full" else "embedded"
    images, labels = load_test_images(
        model="lenet5", data=data, folder=options.folder if options.level == "full" else None
    )
    chosen = torch.cat([(labels == label).nonzero()[: PER_CLASS[options.level], 0] for label in range(10)])
    images, labels = images[chosen], labels[chosen]
    base = base_network("lenet5")
    networks = {
        "exact": base,
        **{name: network(design(name)) for name in AXFPM},
        CONTROL: power_of_two_control(base),
    }
    found = {name: confidence_distribution(net, images, labels) for name, net in networks.items()}
    rows = []
    for name, distribution in found.items():
        above = round(distribution.above(THRESHOLD) * len(labels))
        low, high = wilson(above, len(labels))
        rows.append(
            Row(
                name,
                f"confidence above {THRESHOLD}",
                100 * above / len(labels),
                PUBLISHED.get(name),
                (100 * low, 100 * high),
                "%",
                "published: less than" if name == "exact" else "",
            )
        )
        rows.append(Row(name, "median confidence", float(distribution.values[len(labels) // 2])))
        if name != "exact":
            raised = 100 * (above / len(labels) - found["exact"].above(THRESHOLD))
            rows.append(Row(name, f"confidence above {THRESHOLD}, less exact", raised, RAISED.get(name), unit="points"))
    exact, *others = (100 * found[name].above(THRESHOLD) for name in ("exact", *AXFPM))
    told = ", ".join(f"{share:.1f} % on {name}" for name, share in zip(AXFPM, others, strict=True))
    control = 100 * found[CONTROL].above(THRESHOLD)
    return StudyResult(
        "figure12",
        TITLE,
        SOURCE,
        rows,
        "reproduced in direction" if min(others) > exact and exact < 50 else "not reproduced",
        f"{exact:.1f} % of the images exceed {THRESHOLD} on the exact network (published: under "
        f"{PUBLISHED['exact']:g}), {told}, {control:.1f} % on the control, which only scales weights up: a softmax's "
        "confidence grows with the logits, whatever the image.",
        {"data": data, "images": len(labels), "weights_sha256": weights_record("lenet5")["sha256"]},
        render(lambda: _figure(found), salt="figure12", style=seaborn.axes_style("whitegrid")),
    )


def _figure(found: dict[str, ConfidenceDistribution]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    colours = seaborn.color_palette("colorblind")
    for (name, distribution), style, colour in zip(found.items(), ("-", "-", "--", "-.", ":"), colours, strict=False):
        axes.step(*distribution.curve(), style, where="post", label=name, color=colour)
    for name, share in {"exact": PUBLISHED["exact"], "axfpm": PUBLISHED["axfpm"]}.items():
        colour = colours[list(found).index(name)]
        axes.plot([THRESHOLD], [1 - share / 100], "*", color=colour, markeredgecolor="black", markersize=12)
    axes.plot([], [], "*", color="white", markeredgecolor="black", markersize=12, label="published")
    axes.set_xlabel("confidence: softmax of the true class less the best other")
    axes.set_ylabel("share of images with at most that")
    axes.legend()
    return figure
