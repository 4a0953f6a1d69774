"""DA figure 13: noise of bfloat16 products relative to the float32 products of the same operands in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import seaborn

from circuits import design
from circuits.drawing.figure_files import render
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, measured, verdict
from studies.rows import noise_rows
from studies.rows.noise_rows import Noise
from studies.rows.sampled_rows import share_row

TITLE = "noise of bfloat16 products: sign, magnitude beside Ax-FPM's, dependence on the product"
SOURCE = "DA figure 13, section 7.2"
PUBLISHED = ("mostly negative", "orders of magnitude lower than DA-induced noise", "not input-dependent")
"""Quotations from the text, which gives no numbers."""
NEAREST = replace(design("bfloat16"), rounding="nearest_even", name="bfloat16 to nearest even")
"""bfloat16 with PyTorch's rounding. The named design truncates."""
REACH = 3 * 2.0**-7
"""Largest |e| of truncated bfloat16 for operands in [0, 1].

Truncation to 8 significant bits loses at most 2^-7 of a value, so that result >= (1 - 2^-7)^3 p >= (1 - 3 * 2^-7) p:
one factor for each operand and one for the product.
"""
MOSTLY = 75.0
"""Smallest percentage of negative errors at which noise counts as mostly negative."""
INDEPENDENT = 0.1
"""Largest magnitude of a rank correlation that counts as none."""


def run(options: StudyOptions) -> StudyResult:
    """Measures the noise on 10^6, 10^7 or, as published, 10^8 products, by level."""
    pairs = noise_rows.PAIRS[options.level]
    subjects = [(design("bfloat16"), REACH), (NEAREST, REACH)]
    subjects += [(design(name), 1.0) for name in ("axfpm", "axfpm_tiled", "axfpm_released")]
    noises = [noise_rows.noise(multiplier, pairs=pairs, signed=False, reach=reach) for multiplier, reach in subjects]
    rows = [row for stats in noises for row in (*_signs(stats, noises), *noise_rows.rows(stats))]
    conclusion, reason = conclude(rows)
    drawn = [noises[0], noises[1], noises[2], noises[4]]
    return StudyResult(
        rows,
        conclusion,
        reason,
        noise_rows.settings(options.level, signed=False),
        render(
            lambda: noise_rows.draw(drawn, [noise.design.label for noise in drawn], window=(0.45, 0.55)),
            salt="figure13",
            style=seaborn.axes_style("whitegrid"),
        ),
    )


def _signs(stats: Noise, noises: Sequence[Noise]) -> list[Row]:
    """Returns the share of negative errors and, for bfloat16, the ratios of the other designs' mean |e| to its own."""
    rows = [share_row(stats.design.label, "negative", stats.negative, stats.pairs)]
    if stats.design.format == "bfloat16":
        for other_stats in noises:
            if other_stats.design.format != "bfloat16":
                ratio = other_stats.mean / stats.mean
                remark = f"{math.log10(ratio):.2f} orders of magnitude"
                rows.append(
                    Row(stats.design.label, f"mean |e| of {other_stats.design.label} / own", ratio, remark=remark)
                )
    return rows


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Tests three claims for each rounding of bfloat16.

    1. At least MOSTLY % of the errors are negative.
    2. The mean |e| is two orders of magnitude below that of every Ax-FPM.
    3. The rank correlation of |e| with |p| is at most INDEPENDENT in magnitude.

    Reproduced: all three hold for one rounding. In direction: for one rounding, the errors are mostly negative and the
    mean |e| is at least one order of magnitude lower.
    """
    value = measured(rows)
    texts, claims = [], []
    for name in (design("bfloat16").label, NEAREST.label):
        negative = value[name, "negative"]
        orders = min(
            math.log10(number)
            for (subject, quantity), number in value.items()
            if subject == name and quantity.startswith("mean |e| of")
        )
        absolute, relative = (value[name, f"rank correlation of {what} with |p|"] for what in ("|e|", "|e / p|"))
        explained = value[name, f"variance between {noise_rows.CELLS} x {noise_rows.CELLS} operand cells"]
        claims.append((negative >= MOSTLY, orders, abs(absolute) <= INDEPENDENT))
        texts.append(
            f"{name}: {negative:.1f} % negative, {orders:.1f} orders of magnitude below Ax-FPM, rank correlation with "
            f"|p| {absolute:.2f} of |e| and {relative:.2f} of |e / p|, {explained:.1f} % of the variance between cells "
            "of operands"
        )
    own = value[design("axfpm").label, "rank correlation of |e / p| with |p|"]
    dependent = value[design("axfpm").label, "rank correlation of |e| with |p|"]
    reason = (
        f"{'; '.join(texts)}. Rounding decides the sign, and the noise of every float product grows with the product: "
        f"axfpm's own correlations are {dependent:.2f} and {own:.2f}."
    )
    reproduced = any(negative and orders >= 2 and independent for negative, orders, independent in claims)
    in_direction = any(negative and orders >= 1 for negative, orders, _ in claims)
    return verdict(reproduced=reproduced, in_direction=in_direction), reason
