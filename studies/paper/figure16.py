"""DA figure 16: what the last convolution gives through the exact multiplier, Ax-FPM and HEAP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn
import torch
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from circuits import design
from circuits.drawing.figure_files import render
from circuits.support.statistics import normal_quantile
from cnn_eval.measure.confidence import feature_maps, last_convolution
from cnn_eval.measure.network_accuracy import base_network, load_test_images, network
from cnn_eval.models.registry import weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "feature maps of the last convolution of LeNet-5 through exact, Ax-FPM and HEAP"
SOURCE = "DA figure 16, appendix A"
TOLERANCE = 0.01
PUBLISHED = ("Ax-FPM increases the scores of the important features", "HEAP lowers their scores")
"""The text; it gives no numbers."""
DESIGNS = ("axfpm", "axfpm_tiled", "axfpm_released", "heap")
IMPORTANT = 0.1
"""Share of an image's activations, the highest of the exact network's, that count as its important features."""
SHOWN = 0
"""The test image that is drawn."""
IMPORTANT_QUANTITY = f"mean of the exact network's top {100 * IMPORTANT:.0f} % / exact"

Reals = NDArray[np.float64]


def run(options: StudyOptions) -> StudyResult:
    """All 2,000 embedded test images; full: the 10,000 of MNIST."""
    data = "full" if options.level == "full" else "embedded"
    images, _ = load_test_images(model="lenet5", data=data, folder=options.folder if data == "full" else None)
    base = base_network("lenet5")
    networks: dict[str, nn.Module] = {design(name).label: network(design(name)) for name in DESIGNS}
    networks[CONTROL] = power_of_two_control(base)
    exact = _flat(feature_maps(base, images))
    maps = {"exact": feature_maps(base, images[SHOWN : SHOWN + 1])[0].numpy()}
    rows: list[Row] = []
    for name, each in networks.items():
        found = feature_maps(each, images)
        maps[name] = found[SHOWN].numpy()
        rows += measures(name, _flat(found), exact)
    verdict, reason = judge(rows)
    return StudyResult(
        "figure16",
        TITLE,
        SOURCE,
        rows,
        verdict,
        reason,
        {
            "data": data,
            "images": len(images),
            "layer": f"{last_convolution(base)}, bias included, before the activation",
            "weights_sha256": weights_record("lenet5")["sha256"],
        },
        render(lambda: draw(images[SHOWN, 0].numpy(), maps), salt="figure16", style=seaborn.axes_style("white")),
    )


def _flat(maps: torch.Tensor) -> Reals:
    return maps.flatten(1).double().numpy()


def measures(name: str, maps: Reals, exact: Reals) -> list[Row]:
    """Rows of one network, from its maps and the exact ones [images, activations]: means over images."""
    count = max(1, round(IMPORTANT * exact.shape[1]))
    top = np.argpartition(exact, -count, 1)[:, -count:]
    important, exact_important = (np.take_along_axis(values, top, 1).mean(1) for values in (maps, exact))
    positive = np.maximum(maps, 0).mean(1), np.maximum(exact, 0).mean(1)
    size = np.abs(maps).mean(1), np.abs(exact).mean(1)
    centred = maps - maps.mean(1, keepdims=True), exact - exact.mean(1, keepdims=True)
    products = (centred[0] * centred[1]).sum(1)
    correlation = products / np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    slope = products / (centred[1] ** 2).sum(1)
    return [
        _mean(name, IMPORTANT_QUANTITY, important / exact_important),
        _mean(name, "mean positive activation / exact", positive[0] / positive[1]),
        _mean(name, "mean |activation| / exact", size[0] / size[1]),
        _mean(name, "correlation with exact", correlation),
        _mean(name, "slope of the regression on exact", slope),
    ]


def _mean(name: str, quantity: str, values: Reals) -> Row:
    mean = float(values.mean())
    half = normal_quantile(0.95) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return Row(name, quantity, mean, interval=(mean - half, mean + half))


def judge(rows: Sequence[Row]) -> tuple[str, str]:
    """Verdict and reason. Scores of important features rise or fall if the interval of their ratio lies above or below
    1. Reproduced: they rise through every Ax-FPM and fall through HEAP; in direction: HEAP's ratio is the lowest."""
    value = {(row.subject, row.quantity): row for row in rows}
    ratio = {subject: row for (subject, quantity), row in value.items() if quantity == IMPORTANT_QUANTITY}
    own = design("heap").label
    others = {name: row for name, row in ratio.items() if name not in (own, CONTROL)}
    rise = all((row.interval or (0.0,))[0] > 1 for row in others.values())
    fall = (ratio[own].interval or (1.0, 1.0))[1] < 1

    def told(name: str) -> str:
        return (
            f"{name} x {ratio[name].measured:.2f}, correlation with exact "
            f"{value[name, 'correlation with exact'].measured:.2f}"
        )

    reason = (
        f"scores of the strongest {100 * IMPORTANT:.0f} % of the exact network's activations: "
        f"{'; '.join(told(name) for name in ratio)}. The control has other weights and no noise, and is "
        f"{abs(ratio[CONTROL].measured - ratio['axfpm'].measured):.2g} away from axfpm."
    )
    if rise and fall:
        return "reproduced", reason
    lowest = ratio[own].measured < min(row.measured for row in others.values())
    return ("reproduced in direction" if rise and lowest else "not reproduced"), reason


def draw(image: NDArray[np.float32], maps: Mapping[str, NDArray[np.float32]]) -> Figure:
    """The image, and each network's maps side by side in a square, on one colour scale."""
    figure = Figure(figsize=(10.5, 5.4), layout="constrained")
    panels = list(figure.subplots(2, 4).flat)
    panels[0].imshow(image, cmap="gray_r", interpolation="nearest")
    panels[0].set_title("input", fontsize=10)
    norm = CenteredNorm(0.0, max(float(np.abs(each).max()) for each in maps.values()))
    drawn: Any = None
    for axes, (name, each) in zip(panels[1:], maps.items(), strict=False):
        drawn = axes.imshow(_mosaic(each), norm=norm, cmap="RdBu_r", interpolation="nearest")
        axes.set_title(name, fontsize=10)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in panels[1 + len(maps) :]:
        axes.set_axis_off()
    count = len(next(iter(maps.values())))
    figure.colorbar(drawn, ax=panels, shrink=0.9, label=f"activation of the last convolution, {count} filters")
    return figure


def _mosaic(maps: NDArray[np.float32]) -> Reals:
    """Maps [filters, height, width] row by row in a square, NaN between them."""
    side = math.isqrt(len(maps) - 1) + 1
    height, width = maps.shape[1] + 1, maps.shape[2] + 1
    whole = np.full((side * height - 1, side * width - 1), np.nan)
    for number, each in enumerate(maps):
        row, column = divmod(number, side)
        whole[row * height : row * height + height - 1, column * width : column * width + width - 1] = each
    return whole
