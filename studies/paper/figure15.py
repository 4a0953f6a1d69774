"""DA figure 15: noise of Ax-FPM and of HEAP over random products of operands in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import seaborn

from circuits import design
from circuits.drawing.figure_files import render
from studies.frame.study import Row, StudyOptions, StudyResult
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
    verdict, reason = judge(rows)
    return StudyResult(
        rows,
        verdict,
        reason,
        noise_rows.settings(options.level, signed=False),
        render(
            lambda: noise_rows.draw(list(found.values()), [entry.design.label for entry in found.values()]),
            salt="figure15",
            style=seaborn.axes_style("whitegrid"),
        ),
    )


def judge(rows: Sequence[Row]) -> tuple[str, str]:
    """Verdict and reason: HEAP against every Ax-FPM.

    Reproduced: HEAP's share rounds to the published one, its mean |e| and every measure in DEPENDENCE are below those
    of all Ax-FPM; in direction: mean |e| is, and most of the comparisons of DEPENDENCE are.
    """
    value = {(row.subject, row.quantity): row.measured for row in rows}
    own = design("heap").label
    others = [name for name in dict.fromkeys(row.subject for row in rows) if name != own]
    share = value[own, "larger in magnitude"]
    fits = round(share) == round(PUBLISHED["heap"])
    ratios = [value[own, "mean |e|"] / value[name, "mean |e|"] for name in others]
    smaller = max(ratios) < 1
    less = {
        quantity: [name for name in others if value[own, quantity] < value[name, quantity]] for quantity in DEPENDENCE
    }
    told = "; ".join(
        f"{quantity} {value[own, quantity]:.3g}, below {', '.join(names) or 'none'}" for quantity, names in less.items()
    )
    reason = (
        f"{own}: {share:.1f} % larger and a mean |e| of {min(ratios):.2f} to {max(ratios):.2f} of Ax-FPM's, both what "
        f"the reconstruction was fitted to (study heap), so no evidence. Less data dependency, which was not fitted: "
        f"{told}."
    )
    held = sum(map(len, less.values()))
    if fits and smaller and held == len(others) * len(less):
        return "reproduced", reason
    return ("reproduced in direction" if smaller and 2 * held > len(others) * len(less) else "not reproduced"), reason
