"""DA figure 4: exact and approximate convolution of a filter with patches of increasing similarity to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from circuits import design
from circuits.drawing.figure_files import render
from circuits.support.statistics import rank_correlation
from cnn_eval.layers.approximation import approximate
from cnn_eval.models.registry import load_model, weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, by_quantity, surely_above, verdict
from studies.rows.sampled_rows import mean_row, share

TITLE = "exact and approximate convolution of a filter with patches of rising similarity"
SOURCE = "DA figure 4, section 4.2"
TOLERANCE = 0.01
PUBLISHED = (
    "the higher the similarity, the higher the gap between the exact and the approximate result",
    "higher results for similar inputs and lower results for dissimilar inputs",
)
"""Quotations from the text, which discusses one filter and six images without numbers."""
SIMILARITIES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Cosine similarities of patch and filter."""
FILTERS, SIZE = 100, 5
DESIGNS = ("axfpm", "axfpm_tiled", "axfpm_released", "heap")
RISING, LARGEST, DISSIMILAR = "rank correlation of gap", "largest gap at the most similar", "lower at the least similar"

Reals = NDArray[np.float64]


def run(options: StudyOptions) -> StudyResult:
    """Measures the gaps for 100 random filters and 100 filters of the trained LeNet-5. All levels are the same."""
    filters = {"random": random_filters(), "trained": trained_filters()}
    gaps: dict[tuple[str, str], tuple[Reals, Reals]] = {}
    for kind, kernels in filters.items():
        patches = similar_patches(kernels)
        exact = np.einsum("flk,fk->fl", patches.astype(np.float64), kernels.astype(np.float64))
        squared_length = (kernels.astype(np.float64) ** 2).sum(1)
        for name, results in convolved(patches, kernels).items():
            gaps[name, kind] = ((results - exact) / squared_length[:, None], exact / squared_length[:, None])
    names = list(dict.fromkeys(name for name, _ in gaps))
    rows = [row for name in names for kind in filters for row in measures(name, kind, *gaps[name, kind])]
    conclusion, reason = conclude(rows)
    return StudyResult(
        rows,
        conclusion,
        reason,
        {
            "filters": f"{FILTERS} of {SIZE} x {SIZE} uniform in [-1, 1], seed 0; the first {FILTERS} kernels of the "
            "trained LeNet-5, conv1 before conv2",
            "similarities": list(SIMILARITIES),
            "patches": "as long as the filter, otherwise of random direction, seed 0",
            "weights_sha256": weights_record("lenet5")["sha256"],
        },
        render(lambda: draw(gaps), salt="figure4", style=seaborn.axes_style("whitegrid")),
    )


def random_filters() -> NDArray[np.float32]:
    """Returns filters uniform in [-1, 1], float32 [FILTERS, SIZE^2]."""
    return np.random.default_rng(0).uniform(-1, 1, (FILTERS, SIZE * SIZE)).astype(np.float32)


def trained_filters() -> NDArray[np.float32]:
    """Returns the first kernels of the trained LeNet-5, one per pair of channels, float32 [FILTERS, SIZE^2]."""
    layers = [module for module in load_model("lenet5").modules() if isinstance(module, nn.Conv2d)]
    kernels = [layer.weight.detach().reshape(-1, SIZE * SIZE) for layer in layers]
    return torch.cat(kernels)[:FILTERS].numpy()


def similar_patches(filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns patches as long as their filter, at the cosines SIMILARITIES to it, float32 [filters, similarities, K].

    For a filter f and a random vector r, the component orthogonal to f is o = r - f (r . f) / |f|^2. The patch

        c f + sqrt(1 - c^2) o |f| / |o|

    has the squared length c^2 |f|^2 + (1 - c^2) |f|^2 = |f|^2 and the cosine c to f. Its direction is otherwise random.
    """
    kernels = filters.astype(np.float64)
    stream = np.random.default_rng(0)
    patches = np.empty((len(filters), len(SIMILARITIES), filters.shape[1]))
    for f, patch in zip(kernels, patches, strict=True):
        length = math.sqrt(f @ f)
        for index, cosine in enumerate(SIMILARITIES):
            o = stream.standard_normal(f.size)
            o -= f * (o @ f) / length**2
            patch[index] = cosine * f + math.sqrt(1 - cosine**2) * o * length / math.sqrt(o @ o)
    return patches.astype(np.float32)


def convolved(patches: NDArray[np.float32], filters: NDArray[np.float32]) -> Mapping[str, Reals]:
    """Convolves each filter with its own patches, through each design and the control.

    Returns name -> results, float64 [filters, similarities]. The control computes exactly with the filters rounded up
    to powers of two.
    """
    layer = nn.Conv2d(1, len(filters), SIZE, bias=False)
    layer.weight.data = torch.from_numpy(filters).reshape(-1, 1, SIZE, SIZE)
    model = nn.Sequential(layer).eval()
    networks: dict[str, Any] = {design(name).label: approximate(model, design(name)) for name in DESIGNS}
    networks[CONTROL] = power_of_two_control(model)
    images = torch.from_numpy(patches).reshape(-1, 1, SIZE, SIZE)
    filter_numbers = np.arange(len(filters))
    results = {}
    with torch.no_grad():
        for name, network in networks.items():
            all_results = network(images).reshape(len(filters), len(SIMILARITIES), len(filters)).double().numpy()
            results[name] = all_results[filter_numbers, :, filter_numbers]
    return results


def measures(name: str, kind: str, gap: Reals, exact: Reals) -> list[Row]:
    """Returns the rows of one subject for one kind of filters.

    `gap` (approximate less exact result) and `exact` are [filters, similarities], relative to the filter's squared
    length. The rank correlation is that of each filter's gaps with the index of the similarity, averaged over filters.
    """
    relative_gap = gap[:, 1:] / exact[:, 1:]  # without similarity 0, where the exact result is 0
    rising, relative_rising = (
        np.array([rank_correlation(gaps, np.arange(gaps.size)) for gaps in gap_matrix])
        for gap_matrix in (gap, relative_gap)
    )
    count = len(gap)
    largest, largest_interval = share(int((gap.argmax(1) == gap.shape[1] - 1).sum()), count)
    lower, lower_interval = share(int((gap[:, 0] < 0).sum()), count)
    return [
        mean_row(name, f"{RISING} with similarity, {kind}", rising),
        mean_row(name, f"rank correlation of gap / exact, {kind}", relative_rising),
        Row(name, f"{LARGEST}, {kind}", largest, interval=largest_interval, unit="% of filters"),
        Row(name, f"{DISSIMILAR}, {kind}", lower, interval=lower_interval, unit="% of filters"),
        mean_row(name, f"gap at similarity {SIMILARITIES[0]:g}, {kind}", gap[:, 0], "|filter|^2"),
        mean_row(name, f"gap at similarity {SIMILARITIES[-1]:g}, {kind}", gap[:, -1], "|filter|^2"),
    ]


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Concludes from the circuits of Ax-FPM on both kinds of filters.

    The gap rises if the interval of the mean rank correlation lies above .5. Results for dissimilar patches are lower
    if they are lower for at least 75 % of the filters. Reproduced: both hold for every circuit and kind of filters. In
    direction: the gap rises for every circuit and kind of filters.
    """
    value = by_quantity(rows)

    def across_filters(quantity: str, names: Sequence[str]) -> list[Row]:
        return [value[name, f"{quantity}, {kind}"] for name in names for kind in ("random", "trained")]

    def span(quantity: str, names: Sequence[str]) -> str:
        values = [row.measured for row in across_filters(quantity, names)]
        return f"{min(values):.2f} to {max(values):.2f}"

    axfpms = [design(name).label for name in DESIGNS if name != "heap"]
    heap = [design("heap").label]
    rising = f"{RISING} with similarity"
    rises = all(surely_above(row, 0.5) for row in across_filters(rising, axfpms))
    lower = [row.measured for row in across_filters(DISSIMILAR, axfpms)]
    relative = "rank correlation of gap / exact"
    reason = (
        f"rank correlation of gap with similarity: Ax-FPM {span(rising, axfpms)}, {heap[0]} {span(rising, heap)}, the "
        f"control, exact with other weights, {span(rising, [CONTROL])}; any constant gain above 1 has 1. Of the gap "
        f"relative to the exact result: Ax-FPM {span(relative, axfpms)}. At similarity 0 the result is lower for "
        f"{min(lower):.0f} to {max(lower):.0f} % of the filters."
    )
    return verdict(reproduced=rises and min(lower) >= 75, in_direction=rises), reason


def draw(gaps: Mapping[tuple[str, str], tuple[Reals, Reals]]) -> Figure:
    """Draws one panel per kind of filters: mean and standard deviation of the gap over filters, against similarity."""
    kinds = list(dict.fromkeys(kind for _, kind in gaps))
    names = list(dict.fromkeys(name for name, _ in gaps))
    figure = Figure(figsize=(4.8 * len(kinds), 4.6), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    colours = seaborn.color_palette("colorblind")
    for axes, kind in zip(panels, kinds, strict=True):
        for number, (name, marker) in enumerate(zip(names, "osD^x", strict=True)):
            gap = gaps[name, kind][0]
            style = {"color": "black", "linestyle": "--"} if name == CONTROL else {"color": colours[number]}
            positions = np.array(SIMILARITIES) + 0.012 * (number - (len(names) - 1) / 2)
            axes.errorbar(
                positions, gap.mean(0), gap.std(0, ddof=1), marker=marker, markersize=5, capsize=2, label=name, **style
            )
        axes.set_title(f"{kind} filters", fontsize=10)
        axes.set_xlabel("cosine similarity of patch and filter")
    panels[0].set_ylabel("approximate less exact result [|filter|²],\nmean and standard deviation over filters")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
