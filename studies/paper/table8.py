"""DA table 8: accuracy of LeNet-5 and error of the multiplier for exact, HEAP and Ax-FPM.

Accuracies are compared by what the designs lose, paired on the same images: the networks of the two columns differ, and
so do their own accuracies.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuits import design, error_metrics
from cnn_eval.measure.network_accuracy import AccuracyResult, evaluate, load_test_images
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model, weights_record
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, verdict
from studies.rows.further_victims import ALL_LAYERS, further_victims
from studies.rows.sampled_rows import LOSS, estimate_row, loss_row

TITLE = "LeNet-5 accuracy, MRED and NMED of exact, HEAP and Ax-FPM"
SOURCE = "DA table 8"
PUBLISHED = {"exact": (97.93, 0.0, 0.0), "heap": (97.86, 0.12, 0.03), "axfpm": (97.67, 0.33, 0.08)}
SUBJECTS = {"exact": "exact", "heap": "heap", "axfpm": "axfpm", "axfpm_tiled": "axfpm", "axfpm_released": "axfpm"}
CLOSE, LARGE = 0.5, 5.0
"""Thresholds in percentage points of accuracy.

A loss within CLOSE of the published one is reproduced. A loss up to LARGE still agrees in direction.
"""
RECOVERED_OF = ("heap", "axfpm", "axfpm_released")
"""Designs that also get gains and biases."""
SAMPLES = {"quick": 1_000_000, "default": 10_000_000, "full": 100_000_000}


def run(options: StudyOptions) -> StudyResult:
    """Measures accuracy and errors, on the 2,000 embedded test images or, at level full, the 10,000 of MNIST."""
    samples = SAMPLES[options.level]
    rows = []
    for name, published_as in SUBJECTS.items():
        multiplier = design(name)
        accuracy = evaluate(multiplier, data=options.data, folder=options.folder)
        errors = error_metrics(multiplier, samples=samples)
        published = PUBLISHED[published_as]
        interval = (100 * accuracy.interval[0], 100 * accuracy.interval[1])
        rows.append(Row(multiplier.label, "accuracy", 100 * accuracy.accuracy, published[0], interval, "%"))
        if name == "exact":
            baseline = accuracy
        else:
            rows.append(loss_row(multiplier.label, accuracy, baseline, published[0] - PUBLISHED["exact"][0]))
        for quantity, number, estimate in (
            ("MRED (mean of ratios)", None, errors.mred),
            ("MRED (ratio of means)", published[1], errors.mred_ratio_of_means),
            ("NMED", published[2], errors.nmed),
        ):
            rows.append(estimate_row(multiplier.label, quantity, estimate, number))
    rows += _further_rows(options, baseline)
    conclusion, reason = conclude(rows)
    return StudyResult(
        rows,
        conclusion,
        reason,
        {"data": options.data, "samples": samples, "seed": 0, "weights_sha256": weights_record("lenet5")["sha256"]},
    )


def _further_rows(options: StudyOptions, baseline: AccuracyResult) -> list[Row]:
    """Returns the rows of the authors' code, which takes all layers, and of networks with gains and biases corrected.

    Only the former is compared with published numbers.
    """
    base = load_model("lenet5")
    images, labels = load_test_images(model="lenet5", data=options.data, folder=options.data_folder)
    victims = further_victims(base, "lenet5", options.level, all_layers=("axfpm_released",), recovered=RECOVERED_OF)
    rows = []
    for label, victim in victims.items():
        accuracy = AccuracyResult((predict(victim, images) == labels).numpy())
        published = PUBLISHED["axfpm"][0] - PUBLISHED["exact"][0] if label.endswith(ALL_LAYERS) else None
        low, high = accuracy.interval
        rows.append(Row(label, "accuracy", 100 * accuracy.accuracy, None, (100 * low, 100 * high), "%"))
        rows.append(loss_row(label, accuracy, baseline, published))
    return rows


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Concludes from all errors and losses of accuracy.

    An error agrees if it rounds to the published one. A loss of accuracy agrees if it lies within CLOSE of the
    published one. Reproduced: all agree. In direction: every error is within a factor of two of the published one, and
    no design loses more than LARGE points of accuracy.
    """
    baseline = next(row for row in rows if row.quantity == "accuracy")
    agreeing: list[str] = []
    differing: list[str] = []
    largest_loss = 0.0
    factors = [1.0]
    for row in rows:
        if row.published is None or row.subject == baseline.subject or row.quantity == "accuracy":
            continue
        if row.quantity == LOSS:
            loss, published = -row.measured, -row.published
            largest_loss = max(largest_loss, loss)
            (agreeing if abs(loss - published) <= CLOSE else differing).append(
                f"{row.subject} loses {loss:.2f} points (published {published:.2f})"
            )
        else:
            factors.append(max(row.measured / row.published, row.published / row.measured))
            (agreeing if round(row.measured, 2) == row.published else differing).append(
                f"{row.subject}: {row.quantity} {row.measured:.3f} (published {row.published:g})"
            )
    counts = f"{len(agreeing)} of {len(agreeing) + len(differing)} errors and losses are the published ones"
    reason = f"{counts}; not so: {'; '.join(differing)}." if differing else f"{counts}."
    reason += " MRED is published as the ratio of means. heap is reconstructed, by a search for its NMED (study heap)."
    return verdict(reproduced=not differing, in_direction=largest_loss <= LARGE and max(factors) <= 2), reason
