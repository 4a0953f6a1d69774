"""DA figure 4: convolution of a filter with patches of rising similarity to it, exact and approximate."""

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
from circuits.support.statistics import normal_quantile, rank_correlation
from cnn_eval.layers.approximation import approximate
from cnn_eval.models.registry import load_model, weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows.noise_rows import share

TITLE = "exact and approximate convolution of a filter with patches of rising similarity"
SOURCE = "DA figure 4, section 4.2"
TOLERANCE = 0.01
PUBLISHED = (
    "the higher the similarity, the higher the gap between the exact and the approximate result",
    "higher results for similar inputs and lower results for dissimilar inputs",
)
"""The text, about one filter and six images; it gives no numbers."""
SIMILARITIES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Cosines between patch and filter."""
FILTERS, SIZE = 100, 5
DESIGNS = ("axfpm", "axfpm_tiled", "axfpm_released", "heap")
RISING, LARGEST, DISSIMILAR = "rank correlation of gap", "largest gap at the most similar", "lower at the least similar"

Reals = NDArray[np.float64]


def run(options: StudyOptions) -> StudyResult:
    """The same at every level: 100 random filters and 100 of the trained LeNet-5."""
    filters = {"random": random_filters(), "trained": trained_filters()}
    gaps: dict[tuple[str, str], tuple[Reals, Reals]] = {}
    for kind, chosen in filters.items():
        patches = similar_patches(chosen)
        exact = np.einsum("flk,fk->fl", patches.astype(np.float64), chosen.astype(np.float64))
        unit = (chosen.astype(np.float64) ** 2).sum(1)
        for name, results in convolved(patches, chosen).items():
            gaps[name, kind] = ((results - exact) / unit[:, None], exact / unit[:, None])
    names = list(dict.fromkeys(name for name, _ in gaps))
    rows = [row for name in names for kind in filters for row in measures(name, kind, *gaps[name, kind])]
    verdict, reason = judge(rows)
    return StudyResult(
        "figure4",
        TITLE,
        SOURCE,
        rows,
        verdict,
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
    """float32 [FILTERS, SIZE^2]."""
    return np.random.default_rng(0).uniform(-1, 1, (FILTERS, SIZE * SIZE)).astype(np.float32)


def trained_filters() -> NDArray[np.float32]:
    """float32 [FILTERS, SIZE^2]: kernels, one for each pair of channels."""
    layers = [module for module in load_model("lenet5").modules() if isinstance(module, nn.Conv2d)]
    kernels = [layer.weight.detach().reshape(-1, SIZE * SIZE) for layer in layers]
    return torch.cat(kernels)[:FILTERS].numpy()


def similar_patches(filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [filters, similarities, K]: patches of the length of their filter, at the cosines SIMILARITIES to it."""
    chosen = filters.astype(np.float64)
    stream = np.random.default_rng(0)
    patches = np.empty((len(filters), len(SIMILARITIES), filters.shape[1]))
    for one, patch in zip(chosen, patches, strict=True):
        length = math.sqrt(one @ one)
        for level, cosine in enumerate(SIMILARITIES):
            other = stream.standard_normal(one.size)
            other -= one * (other @ one) / length**2
            patch[level] = cosine * one + math.sqrt(1 - cosine**2) * other * length / math.sqrt(other @ other)
    return patches.astype(np.float32)


def convolved(patches: NDArray[np.float32], filters: NDArray[np.float32]) -> Mapping[str, Reals]:
    """Name -> float64 [filters, similarities]: each filter's results on its own patches, through each design and, for
    the control, exactly with weights rounded up to powers of two."""
    layer = nn.Conv2d(1, len(filters), SIZE, bias=False)
    layer.weight.data = torch.from_numpy(filters).reshape(-1, 1, SIZE, SIZE)
    model = nn.Sequential(layer).eval()
    networks: dict[str, Any] = {design(name).label: approximate(model, design(name)) for name in DESIGNS}
    networks[CONTROL] = power_of_two_control(model)
    images = torch.from_numpy(patches).reshape(-1, 1, SIZE, SIZE)
    own = np.arange(len(filters))
    found = {}
    with torch.no_grad():
        for name, network in networks.items():
            every = network(images).reshape(len(filters), len(SIMILARITIES), len(filters)).double().numpy()
            found[name] = every[own, :, own]
    return found


def measures(name: str, kind: str, gap: Reals, exact: Reals) -> list[Row]:
    """Rows of one subject on one kind of filters, from gap and exact result [filters, similarities], in units of the
    filter's squared length."""
    scaled = gap[:, 1:] / exact[:, 1:]  # at similarity 0 the exact result is 0
    rising, relative = (
        np.array([rank_correlation(line, np.arange(line.size)) for line in lines]) for lines in (gap, scaled)
    )
    count = len(gap)
    largest, largest_between = share(int((gap.argmax(1) == gap.shape[1] - 1).sum()), count)
    lower, lower_between = share(int((gap[:, 0] < 0).sum()), count)
    return [
        _mean(name, f"{RISING} with similarity, {kind}", rising),
        _mean(name, f"rank correlation of gap / exact, {kind}", relative),
        Row(name, f"{LARGEST}, {kind}", largest, interval=largest_between, unit="% of filters"),
        Row(name, f"{DISSIMILAR}, {kind}", lower, interval=lower_between, unit="% of filters"),
        _mean(name, f"gap at similarity {SIMILARITIES[0]:g}, {kind}", gap[:, 0], "|filter|^2"),
        _mean(name, f"gap at similarity {SIMILARITIES[-1]:g}, {kind}", gap[:, -1], "|filter|^2"),
    ]


def _mean(name: str, quantity: str, values: Reals, unit: str = "") -> Row:
    mean = float(values.mean())
    half = normal_quantile(0.95) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return Row(name, quantity, mean, interval=(mean - half, mean + half), unit=unit)


def judge(rows: Sequence[Row]) -> tuple[str, str]:
    """Verdict and reason, from Ax-FPM on both kinds of filters. The gap rises if the mean rank correlation lies above
    .5 with its interval; results are lower for dissimilar patches if they are for 75 % of the filters.

    Reproduced: both hold throughout; in direction: the gap rises throughout.
    """
    value = {(row.subject, row.quantity): row for row in rows}

    def over(quantity: str, names: Sequence[str]) -> list[Row]:
        return [value[name, f"{quantity}, {kind}"] for name in names for kind in ("random", "trained")]

    def told(quantity: str, names: Sequence[str]) -> str:
        found = [row.measured for row in over(quantity, names)]
        return f"{min(found):.2f} to {max(found):.2f}"

    ours = [design(name).label for name in DESIGNS if name != "heap"]
    other = [design("heap").label]
    rising = f"{RISING} with similarity"
    rises = all((row.interval or (0.0,))[0] > 0.5 for row in over(rising, ours))
    lower = [row.measured for row in over(DISSIMILAR, ours)]
    relative = "rank correlation of gap / exact"
    reason = (
        f"rank correlation of gap with similarity: Ax-FPM {told(rising, ours)}, {other[0]} {told(rising, other)}, the "
        f"control, exact with other weights, {told(rising, [CONTROL])}; any constant gain above 1 has 1. Of the gap "
        f"relative to the exact result: Ax-FPM {told(relative, ours)}. At similarity 0 the result is lower for "
        f"{min(lower):.0f} to {max(lower):.0f} % of the filters."
    )
    if rises and min(lower) >= 75:
        return "reproduced", reason
    return ("reproduced in direction" if rises else "not reproduced"), reason


def draw(gaps: Mapping[tuple[str, str], tuple[Reals, Reals]]) -> Figure:
    """A panel a kind of filters: mean gap and its standard deviation over filters against similarity."""
    kinds = list(dict.fromkeys(kind for _, kind in gaps))
    names = list(dict.fromkeys(name for name, _ in gaps))
    figure = Figure(figsize=(4.8 * len(kinds), 4.6), layout="constrained")
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    colours = seaborn.color_palette("colorblind")
    for axes, kind in zip(panels, kinds, strict=True):
        for number, (name, marker) in enumerate(zip(names, "osD^x", strict=True)):
            gap = gaps[name, kind][0]
            style = {"color": "black", "linestyle": "--"} if name == CONTROL else {"color": colours[number]}
            places = np.array(SIMILARITIES) + 0.012 * (number - (len(names) - 1) / 2)
            axes.errorbar(
                places, gap.mean(0), gap.std(0, ddof=1), marker=marker, markersize=5, capsize=2, label=name, **style
            )
        axes.set_title(f"{kind} filters", fontsize=10)
        axes.set_xlabel("cosine similarity of patch and filter")
    panels[0].set_ylabel("approximate less exact result [|filter|²],\nmean and standard deviation over filters")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
