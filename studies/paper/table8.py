"""DA table 8: accuracy of LeNet-5 and error of the multiplier, for exact, HEAP and Ax-FPM."""

from __future__ import annotations

from collections.abc import Sequence

from circuits import design, error_metrics
from cnn_eval.measure.network_accuracy import evaluate
from cnn_eval.models.registry import weights_record
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, verdict
from studies.rows.sampled_rows import estimate_row

TITLE = "LeNet-5 accuracy, MRED and NMED of exact, HEAP and Ax-FPM"
SOURCE = "DA table 8"
PUBLISHED = {"exact": (97.93, 0.0, 0.0), "heap": (97.86, 0.12, 0.03), "axfpm": (97.67, 0.33, 0.08)}
SUBJECTS = {"exact": "exact", "heap": "heap", "axfpm": "axfpm", "axfpm_tiled": "axfpm", "axfpm_released": "axfpm"}
CLOSE, LARGE = 0.5, 5.0
"""Points of accuracy: a loss as published, and one that is still of its size."""
SAMPLES = {"quick": 1_000_000, "default": 10_000_000, "full": 100_000_000}


def run(options: StudyOptions) -> StudyResult:
    """Quick and default on the 2,000 embedded test images; full on the 10,000 of MNIST."""
    samples = SAMPLES[options.level]
    rows = []
    for name, published_as in SUBJECTS.items():
        entry = design(name)
        accuracy = evaluate(entry, data=options.data, folder=options.folder)
        errors = error_metrics(entry, samples=samples)
        published = PUBLISHED[published_as]
        interval = (100 * accuracy.interval[0], 100 * accuracy.interval[1])
        rows.append(Row(entry.label, "accuracy", 100 * accuracy.accuracy, published[0], interval, "%"))
        for quantity, number, estimate in (
            ("MRED (mean of ratios)", None, errors.mred),
            ("MRED (ratio of means)", published[1], errors.mred_ratio_of_means),
            ("NMED", published[2], errors.nmed),
        ):
            rows.append(estimate_row(entry.label, quantity, estimate, number))
    conclusion, reason = conclude(rows)
    return StudyResult(
        rows,
        conclusion,
        reason,
        {"data": options.data, "samples": samples, "seed": 0, "weights_sha256": weights_record("lenet5")["sha256"]},
    )


def conclude(rows: Sequence[Row]) -> Conclusion:
    """An error is the published one if it rounds to it, a loss of accuracy if it lies within CLOSE of it.

    Reproduced: all are. In direction: every error is within a factor of two of the published one, and no design loses
    more accuracy than LARGE.
    """
    baseline = next(row for row in rows if row.quantity == "accuracy")
    assert baseline.published is not None
    same: list[str] = []
    other: list[str] = []
    farthest = 0.0
    factors = [1.0]
    for row in rows:
        if row.published is None or row is baseline or row.subject == baseline.subject:
            continue
        if row.quantity == "accuracy":
            loss, published = baseline.measured - row.measured, baseline.published - row.published
            farthest = max(farthest, loss)
            (same if abs(loss - published) <= CLOSE else other).append(
                f"{row.subject} loses {loss:.2f} points (published {published:.2f})"
            )
        else:
            factors.append(max(row.measured / row.published, row.published / row.measured))
            (same if round(row.measured, 2) == row.published else other).append(
                f"{row.subject}: {row.quantity} {row.measured:.3f} (published {row.published:g})"
            )
    counts = f"{len(same)} of {len(same) + len(other)} errors and losses are the published ones"
    reason = f"{counts}; not so: {'; '.join(other)}." if other else f"{counts}."
    reason += " MRED is published as the ratio of means. heap is reconstructed, by a search for its NMED (study heap)."
    return verdict(reproduced=not other, in_direction=farthest <= LARGE and max(factors) <= 2), reason
