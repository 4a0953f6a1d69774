"""DA figure 15: noise of Ax-FPM and HEAP over random products of operands in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import seaborn

from circuits import design
from circuits.drawing.figure_files import render
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, listed, measured, subjects, verdict
from studies.own import heap
from studies.rows import noise_rows

TITLE = "noise of Ax-FPM and HEAP over random products: share larger, magnitude, dependence on the operands"
SOURCE = "DA figure 15, appendix A"
PUBLISHED = {"heap": 100 * heap.LARGER, "axfpm": 96.0, "axfpm_tiled": 96.0, "axfpm_released": 96.0}
"""Percentage of results larger in magnitude. The number for Ax-FPM comes from section 4.1, where operands are in
[-1, 1]. The sign of an operand does not affect the magnitude of a product, so it holds for [0, 1] as well."""
DEPENDENCE = (
    "rank correlation of |e| with |p|",
    f"variance between {noise_rows.CELLS} x {noise_rows.CELLS} operand cells",
    "largest jump along the first operand",
    "largest jump along the second operand",
)
"""Possible measures of "data dependency". The paper does not define one."""


def run(options: StudyOptions) -> StudyResult:
    """Measures the noise on 10^6, 10^7 or 10^8 products, by level."""
    pairs = noise_rows.PAIRS[options.level]
    noises = {name: noise_rows.noise(design(name), pairs=pairs, signed=False) for name in PUBLISHED}
    rows = [row for name, stats in noises.items() for row in noise_rows.rows(stats, larger=PUBLISHED[name])]
    conclusion, reason = conclude(rows)
    return StudyResult(
        rows,
        conclusion,
        reason,
        noise_rows.settings(options.level, signed=False),
        render(
            lambda: noise_rows.draw(list(noises.values()), [stats.design.label for stats in noises.values()]),
            salt="figure15",
            style=seaborn.axes_style("whitegrid"),
        ),
    )


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Compares HEAP with every Ax-FPM.

    Reproduced: HEAP's share of larger results rounds to the published one, and its mean |e| and all its measures in
    DEPENDENCE are below those of every Ax-FPM. In direction: its mean |e| is below that of every Ax-FPM, and so are its
    measures in more than half of the comparisons.
    """
    value = measured(rows)
    own = design("heap").label
    axfpm_labels = [name for name in subjects(rows) if name != own]
    share = value[own, "larger in magnitude"]
    share_agrees = round(share) == round(PUBLISHED["heap"])
    ratios = [value[own, "mean |e|"] / value[name, "mean |e|"] for name in axfpm_labels]
    smaller = max(ratios) < 1
    less = {
        quantity: [name for name in axfpm_labels if value[own, quantity] < value[name, quantity]]
        for quantity in DEPENDENCE
    }
    dependence = "; ".join(
        f"{quantity} {value[own, quantity]:.3g}, below {listed(names)}" for quantity, names in less.items()
    )
    reason = (
        f"{own}: {share:.1f} % larger and a mean |e| of {min(ratios):.2f} to {max(ratios):.2f} of Ax-FPM's, both what "
        f"the reconstruction was fitted to (study heap), so no evidence. Less data dependency, which was not fitted: "
        f"{dependence}."
    )
    comparisons = len(axfpm_labels) * len(less)
    lower = sum(map(len, less.values()))
    return verdict(
        reproduced=share_agrees and smaller and lower == comparisons, in_direction=smaller and 2 * lower > comparisons
    ), reason
