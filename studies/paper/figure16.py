"""DA figure 16: activations of the last convolution through the exact multiplier, Ax-FPM and HEAP."""

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
from cnn_eval.measure.confidence import feature_maps, last_convolution
from cnn_eval.measure.network_accuracy import base_network, load_test_images, network
from cnn_eval.models.registry import weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, by_quantity, surely_above, surely_below, verdict
from studies.rows.further_victims import MATCHED, further_victims
from studies.rows.sampled_rows import mean_row

TITLE = "feature maps of the last convolution of LeNet-5 through exact, Ax-FPM and HEAP"
SOURCE = "DA figure 16, appendix A"
TOLERANCE = 0.01
PUBLISHED = ("Ax-FPM increases the scores of the important features", "HEAP lowers their scores")
"""Quotations from the text, which gives no numbers."""
DESIGNS = ("axfpm", "axfpm_tiled", "axfpm_released", "heap")
MATCHED_TO = ("axfpm_released", "heap")
"""Designs beside whose maps those of the matched control are measured: what a gain does without any noise."""
IMPORTANT = 0.1
"""Share of an image's activations that count as its important features: the highest in the exact network."""
SHOWN = 0
"""Index of the test image that is drawn."""
IMPORTANT_QUANTITY = f"mean of the exact network's top {100 * IMPORTANT:.0f} % / exact"

Reals = NDArray[np.float64]


def run(options: StudyOptions) -> StudyResult:
    """Measures the activations on all 2,000 embedded test images; at level full, on the 10,000 of MNIST."""
    images, _ = load_test_images(model="lenet5", data=options.data, folder=options.data_folder)
    base = base_network("lenet5")
    networks: dict[str, nn.Module] = {design(name).label: network(design(name)) for name in DESIGNS}
    networks[CONTROL] = power_of_two_control(base)
    networks |= further_victims(base, "lenet5", options.level, matched=MATCHED_TO)
    exact = _flat(feature_maps(base, images))
    maps = {"exact": feature_maps(base, images[SHOWN : SHOWN + 1])[0].numpy()}
    rows: list[Row] = []
    for name, net in networks.items():
        design_maps = feature_maps(net, images)
        if not name.endswith(MATCHED):  # the page has room for the designs and one control
            maps[name] = design_maps[SHOWN].numpy()
        rows += measures(name, _flat(design_maps), exact)
    conclusion, reason = conclude(rows)
    return StudyResult(
        rows,
        conclusion,
        reason,
        {
            "data": options.data,
            "images": len(images),
            "layer": f"{last_convolution(base)}, bias included, before the activation",
            "weights_sha256": weights_record("lenet5")["sha256"],
        },
        render(lambda: draw(images[SHOWN, 0].numpy(), maps), salt="figure16", style=seaborn.axes_style("white")),
    )


def _flat(maps: torch.Tensor) -> Reals:
    """Flattens the maps of each image to float64 [images, activations]."""
    return maps.flatten(1).double().numpy()


def measures(name: str, maps: Reals, exact: Reals) -> list[Row]:
    """Returns the rows of one network from its activations and the exact ones, both [images, activations].

    Every number is computed per image and averaged over the images.
    """
    top_count = max(1, round(IMPORTANT * exact.shape[1]))
    top = np.argpartition(exact, -top_count, 1)[:, -top_count:]
    important_mean, exact_important_mean = (np.take_along_axis(values, top, 1).mean(1) for values in (maps, exact))
    positive = np.maximum(maps, 0).mean(1), np.maximum(exact, 0).mean(1)
    size = np.abs(maps).mean(1), np.abs(exact).mean(1)
    # Per image, with the centred activations a (network) and b (exact):
    #     correlation = sum(a b) / sqrt(sum(a^2) sum(b^2)),  slope of the regression of a on b = sum(a b) / sum(b^2)
    centred = maps - maps.mean(1, keepdims=True), exact - exact.mean(1, keepdims=True)
    products = (centred[0] * centred[1]).sum(1)
    correlation = products / np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    slope = products / (centred[1] ** 2).sum(1)
    return [
        mean_row(name, IMPORTANT_QUANTITY, important_mean / exact_important_mean),
        mean_row(name, "mean positive activation / exact", positive[0] / positive[1]),
        mean_row(name, "mean |activation| / exact", size[0] / size[1]),
        mean_row(name, "correlation with exact", correlation),
        mean_row(name, "slope of the regression on exact", slope),
    ]


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Concludes from the ratio of the important features' scores to the exact ones.

    The scores rise if the interval of the ratio lies above 1, and fall if it lies below 1. Reproduced: they rise for
    every Ax-FPM and fall for HEAP. In direction: they rise for every Ax-FPM, and HEAP has the lowest ratio.
    """
    value = by_quantity(rows)
    ratio = {subject: row for (subject, quantity), row in value.items() if quantity == IMPORTANT_QUANTITY}
    heap_label = design("heap").label
    controls = {name for name in ratio if name == CONTROL or name.endswith(MATCHED)}
    axfpm_ratios = {name: row for name, row in ratio.items() if name not in {heap_label, *controls}}
    rise = all(surely_above(row, 1) for row in axfpm_ratios.values())
    fall = surely_below(ratio[heap_label], 1)

    def scores(name: str) -> str:
        return (
            f"{name} x {ratio[name].measured:.2f}, correlation with exact "
            f"{value[name, 'correlation with exact'].measured:.2f}"
        )

    reason = (
        f"scores of the strongest {100 * IMPORTANT:.0f} % of the exact network's activations: "
        f"{'; '.join(scores(name) for name in ratio)}. The control has other weights and no noise, and is "
        f"{abs(ratio[CONTROL].measured - ratio['axfpm'].measured):.2g} away from axfpm."
    )
    lowest = ratio[heap_label].measured < min(row.measured for row in axfpm_ratios.values())
    return verdict(reproduced=rise and fall, in_direction=rise and lowest), reason


def draw(image: NDArray[np.float32], maps: Mapping[str, NDArray[np.float32]]) -> Figure:
    """Draws the image and each network's feature maps, arranged in a square, on one colour scale."""
    figure = Figure(figsize=(10.5, 5.4), layout="constrained")
    panels = list(figure.subplots(2, 4).flat)
    panels[0].imshow(image, cmap="gray_r", interpolation="nearest")
    panels[0].set_title("input", fontsize=10)
    norm = CenteredNorm(0.0, max(float(np.abs(network_maps).max()) for network_maps in maps.values()))
    colour_image: Any = None
    for axes, (name, network_maps) in zip(panels[1:], maps.items(), strict=False):
        colour_image = axes.imshow(_mosaic(network_maps), norm=norm, cmap="RdBu_r", interpolation="nearest")
        axes.set_title(name, fontsize=10)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in panels[1 + len(maps) :]:
        axes.set_axis_off()
    count = len(next(iter(maps.values())))
    figure.colorbar(colour_image, ax=panels, shrink=0.9, label=f"activation of the last convolution, {count} filters")
    return figure


def _mosaic(maps: NDArray[np.float32]) -> Reals:
    """Arranges maps [filters, height, width] row by row in a square, separated by NaN."""
    side = math.isqrt(len(maps) - 1) + 1  # ceil(sqrt(number of maps))
    height, width = maps.shape[1] + 1, maps.shape[2] + 1
    mosaic = np.full((side * height - 1, side * width - 1), np.nan)
    for number, feature_map in enumerate(maps):
        row, column = divmod(number, side)
        mosaic[row * height : row * height + height - 1, column * width : column * width + width - 1] = feature_map
    return mosaic
