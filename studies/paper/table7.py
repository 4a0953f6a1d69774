"""DA table 7: energy and delay of whole float multipliers relative to the exact one, with a Booth-coded bfloat16."""

from __future__ import annotations

from studies.frame.study import StudyOptions, StudyResult
from studies.rows import cost_rows

TITLE = "energy and delay of the whole float multiplier, Ax-FPM and bfloat16 over exact"
SOURCE = "DA table 7"
PUBLISHED = {"axfpm": (0.487, 0.29), "bfloat16": (0.4, 0.4)}
SUBJECTS = {"axfpm": "axfpm", "axfpm_tiled": "axfpm", "axfpm_released": "axfpm", "bfloat16": "bfloat16"}
REASONS = {
    ("axfpm", "energy"): "the AMA5 array does not glitch and the exact one does (see table9); exponent, normaliser and "
    "rounding are a small part of either",
    ("axfpm", "delay"): "as in table9; the exact multiplier also rounds to nearest even behind the array, by a ripple "
    "increment of 23 bits, where Ax-FPM truncates",
    ("axfpm_tiled", "energy"): "as in table9: the exact sums of tile products dominate, against an exact array that "
    "glitches",
    ("axfpm_tiled", "delay"): "as in table9: the tile products are added exactly, by ripple adders",
    ("bfloat16", "energy"): "an 8 x 8 mantissa has a ninth of the partial products of 24 x 24 and glitches far less; "
    "exponents are the same. These circuits at equal cells and voltage do not explain .4, nor does zero delay",
    ("bfloat16", "delay"): "8-bit Booth recoding, a short compression and a 16-bit ripple, against 68 places of ripple "
    "and rounding",
}
REASONS |= {("axfpm_released", measure): REASONS["axfpm_tiled", measure] for measure in ("energy", "delay")}


def run(options: StudyOptions) -> StudyResult:
    """Returns the cost ratios. The level determines only the number of operand pairs."""
    rows = cost_rows.rows(PUBLISHED, SUBJECTS, REASONS, options, whole=True)
    verdict, counts = cost_rows.ratios_verdict(rows)
    orders = [cost_rows.order(rows, measure, "axfpm", "bfloat16") for measure in ("energy", "delay")]
    reason = f"{counts}. {'; '.join(orders)} (published: bfloat16 less energy, axfpm less delay)."
    return StudyResult(rows, verdict, reason, cost_rows.settings(options))
