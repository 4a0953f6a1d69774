"""DA table 9: energy and delay of 24 x 24 mantissa multipliers relative to the exact one."""

from __future__ import annotations

from studies.frame.study import StudyOptions, StudyResult
from studies.rows import cost_rows

TITLE = "energy and delay of the mantissa multiplier, HEAP and Ax-FPM over exact"
SOURCE = "DA table 9"
PUBLISHED = {"heap": (0.49, 0.46), "axfpm": (0.395, 0.235)}
SUBJECTS = {"heap": "heap", "axfpm": "axfpm", "axfpm_tiled": "axfpm", "axfpm_released": "axfpm"}
REASONS = {
    ("heap", "energy"): "carry-save rows of AMA1 and AMA4 glitch little, while over half of the exact ripple array's "
    "energy is glitches: at zero delay the ratio is above the published one; and the cell map is a reconstruction, "
    "whose energy was not fitted",
    (
        "heap",
        "delay",
    ): "its exact final adder ripples over 24 places, which is most of its path; the published cell map is unknown",
    ("axfpm", "energy"): "24 x 24 AMA5 is two buffers a place: no carry chain, so no glitches, beside an exact array "
    "that glitches; at zero delay the ratio is higher, still below the published one (wires and test bench of the "
    "published circuit are unknown)",
    ("axfpm", "delay"): "the longest path is one AND and 23 small buffers, driving one another, 14 ps each without "
    "wires; the exact array's is 68 mirror adders of about 51 ps",
    ("axfpm_tiled", "energy"): "only the 4 x 4 tiles are AMA5, the sums of tile products are exact and dominate; the "
    "exact array's glitches lower the ratio",
    ("axfpm_tiled", "delay"): "the tile products are added exactly, by ripple adders, behind the fast tiles",
}
REASONS |= {("axfpm_released", measure): REASONS["axfpm_tiled", measure] for measure in ("energy", "delay")}


def run(options: StudyOptions) -> StudyResult:
    """Returns the cost ratios. The level determines only the number of operand pairs."""
    rows = cost_rows.rows(PUBLISHED, SUBJECTS, REASONS, options, whole=False)
    verdict, counts = cost_rows.ratios_verdict(rows)
    orders = [cost_rows.order(rows, measure, "axfpm", "heap") for measure in ("energy", "delay")]
    reason = f"{counts}. {'; '.join(orders)} (published: axfpm less of both)."
    return StudyResult(rows, verdict, reason, cost_rows.settings(options))
