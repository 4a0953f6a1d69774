"""Own study: transfer of adversarial examples as a function of their margin beyond the decision boundary.

The first point of every curve, the attack as it is, stands beside DA's tables 2 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuits import design
from cnn_eval.data.loading import load
from cnn_eval.examples.example_cache import default_cache
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.margin_curves import CURVES, PUBLISHED, MarginPoint, measure_margins
from cnn_eval.measure.margins_plot import margins_plot
from cnn_eval.models.registry import load_model, weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import NEARLY_ALL, Conclusion, verdict
from studies.rows.further_victims import further_victims

TITLE = "transfer rate from exact LeNet-5 against confidence, overshoot and budget factor"
SOURCE = "own; DA tables 2 and 10"
TOLERANCE = 0.1
SUBJECTS = {"axfpm": "Ax-FPM", "axfpm_tiled": "Ax-FPM", "axfpm_released": "Ax-FPM", "heap": "HEAP"}
MATCHED_TO = ("axfpm_released", "heap")
"""Designs whose matched control is measured too."""
IMAGES = {"quick": 20, "default": 50, "full": 500}
HYPERPARAMETERS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "quick": {
        "cw": {"binary_search_steps": 4, "steps": 200, "stepsize": 0.02, "initial_const": 1.0},
        "pgd": {"steps": 20, "relative_step": 0.125},
    },
    "default": {},
    "full": {},
}
"""Hyperparameters that differ from the attacks' defaults, per level."""
_KNOBS = {"confidence": "kappa", "overshoot": "overshoot", None: "factor"}


def run(options: StudyOptions) -> StudyResult:
    """Measures all margin curves. Levels quick and default use embedded test images, full those of MNIST.

    The crafted examples are stored in the user's cache.
    """
    images = load("mnist", "test", source=options.data, folder=options.data_folder)
    count = IMAGES[options.level]
    exact = load_model("lenet5")
    labels = {design(name).label: published for name, published in SUBJECTS.items()}
    victims = {design(name).label: approximate(exact, design(name)) for name in SUBJECTS}
    victims[CONTROL] = power_of_two_control(exact)
    victims |= further_victims(exact, "lenet5", options.level, matched=MATCHED_TO)
    points = measure_margins(
        exact,
        victims,
        images.images[:count],
        images.labels[:count],
        hyperparameters=HYPERPARAMETERS[options.level],
        cache=default_cache(),
        progress=options.level != "quick",
    )
    title = f"LeNet-5: transfer from the exact network, {count} images"
    conclusion, reason = conclude(points, labels)
    return StudyResult(
        [row(point, labels) for name in victims for point in points if point.victim == name and point.eligible],
        conclusion,
        reason,
        {
            "level": options.level,
            "data": options.data,
            "images": count,
            "hyperparameters": {name: dict(values) for name, values in HYPERPARAMETERS[options.level].items()},
            "weights_sha256": weights_record("lenet5")["sha256"],
        },
        margins_plot(points, control=CONTROL, published=PUBLISHED, title=title),
    )


def _published(point: MarginPoint, labels: Mapping[str, str]) -> float | None:
    """Returns DA's rate for the first value of a curve, which is the unmodified attack; None for other values."""
    if point.victim not in labels or point.value != CURVES[point.attack].values[0]:
        return None
    return PUBLISHED[labels[point.victim]][point.attack]


def row(point: MarginPoint, labels: Mapping[str, str]) -> Row:
    """Returns the row of a point, which must have an eligible example.

    `labels` maps a subject to the published multiplier that it stands for.
    """
    assert point.rate is not None
    low, high = point.interval
    return Row(
        point.victim,
        f"{point.attack}, {_KNOBS[CURVES[point.attack].parameter]} {point.value:g}",
        100 * point.rate,
        _published(point, labels),
        (100 * low, 100 * high),
        "%",
    )


def conclude(points: Sequence[MarginPoint], labels: Mapping[str, str]) -> Conclusion:
    """Concludes from the first points of the curves, where the examples lie at the boundary.

    Reproduced: every published rate lies in our interval. In direction: on every curve, fewer than NEARLY_ALL percent
    of the examples transfer.
    """
    boundary_points = [point for point in points if _published(point, labels) is not None and point.rate is not None]
    agree = [
        100 * point.interval[0] <= (_published(point, labels) or 0.0) <= 100 * point.interval[1]
        for point in boundary_points
    ]
    margin_points = [
        point
        for point in points
        if point.victim in labels and point.value == CURVES[point.attack].values[-1] and point.rate is not None
    ]
    low, high = (f"{100 * f(point.rate or 0.0 for point in boundary_points):.0f}" for f in (min, max))
    end_low, end_high = (f"{100 * f(point.rate or 0.0 for point in margin_points):.0f}" for f in (min, max))
    control_fooled = {(point.attack, point.value): point.fooled for point in points if point.victim == CONTROL}
    differing = sum(
        abs(point.fooled - control_fooled[point.attack, point.value])
        for point in points
        if point.victim == design("axfpm").label
    )
    reason = (
        f"{sum(agree)} of {len(agree)} published rates lie in our intervals; at the boundary {low} to {high} % "
        f"transfer, with the largest margin {end_low} to {end_high} %; axfpm and the control, which has no noise at "
        f"all, differ on {differing} examples over all curves."
    )
    resist = all(100 * (point.rate or 0.0) < NEARLY_ALL for point in boundary_points)
    return verdict(reproduced=all(agree), in_direction=resist), reason
