"""DA figure 15: noise of Ax-FPM and of HEAP over random products of operands in [0, 1]."""

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
"""Percent larger in magnitude; Ax-FPM's is that of section 4.1, for operands in [-1, 1], which magnitudes do not tell
from [0, 1]."""
DEPENDENCE = (
    "rank correlation of |e| with |p|",
    f"variance between {noise_rows.CELLS} x {noise_rows.CELLS} operand cells",
    "largest jump along the first operand",
    "largest jump along the second operand",
)
"""What "data dependency" may mean; the paper gives no measure."""


def run(options: StudyOptions) -> StudyResult:
    """On 10^6, 10^7 or 10^8 products by level."""
    pairs = noise_rows.PAIRS[options.level]
    found = {name: noise_rows.noise(design(name), pairs=pairs, signed=False) for name in PUBLISHED}
    rows = [row for name, entry in found.items() for row in noise_rows.rows(entry, larger=PUBLISHED[name])]
    conclusion, reason = conclude(rows)
    return StudyResult(
        rows,
        conclusion,
        reason,
        noise_rows.settings(options.level, signed=False),
        render(
            lambda: noise_rows.draw(list(found.values()), [entry.design.label for entry in found.values()]),
            salt="figure15",
            style=seaborn.axes_style("whitegrid"),
        ),
    )


def conclude(rows: Sequence[Row]) -> Conclusion:
    """HEAP against every Ax-FPM.

    Reproduced: HEAP's share of larger results rounds to the published one, and its mean |e| and every measure in
    DEPENDENCE are below those of all Ax-FPM. In direction: its mean |e| is, and most comparisons of DEPENDENCE are.
    """
    value = measured(rows)
    own = design("heap").label
    others = [name for name in subjects(rows) if name != own]
    share = value[own, "larger in magnitude"]
    fits = round(share) == round(PUBLISHED["heap"])
    ratios = [value[own, "mean |e|"] / value[name, "mean |e|"] for name in others]
    smaller = max(ratios) < 1
    less = {
        quantity: [name for name in others if value[own, quantity] < value[name, quantity]] for quantity in DEPENDENCE
    }
    dependence = "; ".join(
        f"{quantity} {value[own, quantity]:.3g}, below {listed(names)}" for quantity, names in less.items()
    )
    reason = (
        f"{own}: {share:.1f} % larger and a mean |e| of {min(ratios):.2f} to {max(ratios):.2f} of Ax-FPM's, both what "
        f"the reconstruction was fitted to (study heap), so no evidence. Less data dependency, which was not fitted: "
        f"{dependence}."
    )
    comparisons = len(others) * len(less)
    lower = sum(map(len, less.values()))
    return verdict(
        reproduced=fits and smaller and lower == comparisons, in_direction=smaller and 2 * lower > comparisons
    ), reason
