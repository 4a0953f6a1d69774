"""Compares HEAP and Ax-FPM in error, noise, cost, accuracy, transfer, margins and audit, as rows and on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import numpy as np
import seaborn
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from torch import nn

from circuits import cost_report, design, error_metrics
from circuits.accuracy.error_types import ErrorSurface
from circuits.accuracy.sampling import uniform01
from circuits.accuracy.surfaces import error_surface
from circuits.cost import conditions
from circuits.drawing.figure_files import render
from circuits.support.statistics import wilson
from cnn_eval.audit.audit_reference import Reference
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.auditing import run_audit
from cnn_eval.audit.verdict_rules import VERDICTS
from cnn_eval.examples.example_cache import default_cache
from cnn_eval.examples.stored_examples import load_examples
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.margin_curves import measure_margins
from cnn_eval.measure.network_accuracy import evaluate, load_test_images
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model, weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from cnn_eval.scenarios.success import judge
from cnn_eval.scenarios.transfer import EXAMPLES, TransferResult, measure_transfer
from studies.frame.row_figures import dots
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, measured, verdict
from studies.own import heap
from studies.own import margins as margins_study
from studies.paper import table8, table9
from studies.rows import cost_rows
from studies.rows.further_victims import MATCHED, further_victims
from studies.rows.sampled_rows import estimate_row, loss_row

TITLE = "HEAP and Ax-FPM side by side on one page"
SOURCE = "DA tables 8 to 10, figure 15"
TOLERANCE = 0.1
SUBJECTS = {"heap": "heap", "axfpm": "axfpm", "axfpm_released": "axfpm"}
"""Design -> the published multiplier that it stands for. Ax-FPM is two circuits: flat, and tiled as released."""
CONTROLS = (CONTROL, *(f"{name}{MATCHED}" for name in ("heap", "axfpm_released")))
"""Networks that the sections that attack also have: the exact one with its convolution weights rounded up to powers of
two, and with each layer scaled by a design's mean gain."""
LARGER = {"heap": 100 * heap.LARGER, "axfpm": 96.0}
"""Published share of results larger than exact, %: DA appendix A and section 4.1."""
SAMPLES = {"quick": 1_000_000, "default": 10_000_000, "full": 100_000_000}
MARGINS = {"cw": (0.0, 5.0), "deepfool": (0.02, 0.2), "fgsm": (1.0, 1.2), "pgd": (1.0, 1.2)}
"""Two points on each curve of study margins: the unmodified attack and a small margin."""
AUDIT_IMAGES = {"quick": 25, "default": 50, "full": 200}
AUDIT = {
    "quick": AuditSettings(
        steps=10, apgd_steps=10, queries=200, minimum_steps=50, deepfool_steps=20, noise_draws=3, decision_images=0
    ),
    "default": AuditSettings(decision_images=0),
    "full": AuditSettings(decision_images=0),
}
"""Level quick has fewer steps and queries than a verdict should rest on; study audit has enough."""
BINS = 48
SHOWN_PAIRS = 65_536
COLUMNS = 4
"""Number of panels in a row of the page."""
WIDE = 25.0
"""A panel whose values span more percentage points shows the whole range 0 to 100."""

Section = Callable[[str, StudyOptions], list[Row]]
"""A topic of the comparison: returns the rows of one subject, a name in SUBJECTS or CONTROLS.

Each quantity of the rows becomes a panel.
"""


def error(name: str, options: StudyOptions) -> list[Row]:
    """Error metrics over operands uniform in [0, 1]."""
    label = design(name).label
    metrics = error_metrics(design(name), samples=SAMPLES[options.level])
    _, ratio, nmed = table8.PUBLISHED[SUBJECTS[name]]
    return [
        estimate_row(label, "NMED", metrics.nmed, nmed),
        estimate_row(label, "MRED (ratio of means)", metrics.mred_ratio_of_means, ratio),
        estimate_row(label, "MRED (mean of ratios)", metrics.mred),
        estimate_row(label, "mean e", metrics.bias),
        estimate_row(label, "larger than exact", metrics.larger, LARGER[SUBJECTS[name]], 100.0, "%"),
    ]


def cost(name: str, options: StudyOptions) -> list[Row]:
    """Cost of the mantissa multiplier relative to the exact one, for unoptimised netlists."""
    samples = cost_rows.SAMPLES[options.level]
    zero_delay, arc_delay = (
        cost_report(design(name), samples=samples, glitches=kind) for kind in ("none", "arc_delay")
    )
    energy, delay = table9.PUBLISHED[SUBJECTS[name]]
    label = design(name).label
    return [
        Row(label, "energy / exact, glitches included", arc_delay.ratio("energy"), energy),
        Row(label, "energy / exact, zero delay", zero_delay.ratio("energy")),
        Row(label, "delay / exact", zero_delay.ratio("delay"), delay),
        Row(label, "area / exact", zero_delay.ratio("area")),
    ]


def accuracy(name: str, options: StudyOptions) -> list[Row]:
    """Accuracy of LeNet-5 on MNIST with its convolutions computed by the design, and its loss beside the published."""
    result, exact = (evaluate(design(each), data=options.data, folder=options.folder) for each in (name, "exact"))
    low, high = result.interval
    published = table8.PUBLISHED[SUBJECTS[name]][0] - table8.PUBLISHED["exact"][0]
    return [
        Row(design(name).label, "accuracy", 100 * result.accuracy, None, (100 * low, 100 * high), "%"),
        loss_row(design(name).label, result, exact, published),
    ]


def transfers(name: str, options: StudyOptions) -> list[Row]:
    """Share of the stored examples that fool the exact network and also fool this one.

    The published rates stand beside the margins' first points, once.
    """
    results = _stored(_network(name)) if name in CONTROLS else measure_transfer(design(name))
    rows = []
    for examples, result in results.items():
        low, high = result.interval
        remark = f"{result.fooled} of {result.eligible}"
        quantity = f"transfer, {examples}"
        rows.append(Row(_label(name), quantity, 100 * result.rate, None, (100 * low, 100 * high), "%", remark))
    return rows


def margins(name: str, options: StudyOptions) -> list[Row]:
    """Transfer of the examples of study margins, crafted on the exact network: at its boundary and with a margin."""
    images, labels = _images(options)
    count = margins_study.IMAGES[options.level]
    points = measure_margins(
        load_model("lenet5"),
        {_label(name): _network(name)},
        images[:count],
        labels[:count],
        attacks=tuple(MARGINS),
        values=MARGINS,
        hyperparameters=margins_study.HYPERPARAMETERS[options.level],
        cache=default_cache(),
        progress=options.level != "quick",
    )
    published = {} if name in CONTROLS else {_label(name): {"heap": "HEAP", "axfpm": "Ax-FPM"}[SUBJECTS[name]]}
    rows = [margins_study.row(point, published) for point in points if point.eligible]
    return [replace(row, quantity=f"transfer, {row.quantity}") for row in rows]


def audited(name: str, options: StudyOptions) -> list[Row]:
    """Robust accuracy under an adaptive attacker, worst case per image, with the audit's verdict as the remark."""
    reference = _reference(options)
    report = run_audit(
        _network(name) if name in CONTROLS else design(name),
        reference.exact,
        reference.images,
        reference.labels,
        settings=reference.settings,
        reference=reference,
        name=_label(name),
        progress=options.level != "quick",
    )
    budget = f"{report.settings['norm']} {report.settings['epsilon']:g}"
    rows = []
    for quantity, count, total, remark in (
        (f"robust accuracy, {budget}", report.robust, report.images, report.verdict),
        ("robust accuracy, exact network", report.robust_exact, report.images, ""),
        ("fooled, own gradient", report.native, report.eligible, ""),
        ("fooled, best gradient", report.surrogate, report.eligible, ""),
    ):
        low, high = wilson(count, total)
        rows.append(Row(report.subject, quantity, 100 * count / total, None, (100 * low, 100 * high), "%", remark))
    return rows


SECTIONS: Sequence[Section] = (error, cost, accuracy, transfers, margins, audited)
"""The topics in the order of rows and panels. A further topic is one more function."""
ATTACKED: Sequence[Section] = (transfers, margins, audited)
"""The topics that include the controls."""


def run(options: StudyOptions) -> StudyResult:
    """Compares the designs and draws the page, on embedded images (quick, default) or the 10,000 of MNIST (full)."""
    sections = [
        [section(name, options) for name in (*SUBJECTS, *(CONTROLS if section in ATTACKED else []))]
        for section in SECTIONS
    ]
    subjects = [_label(name) for name in (*SUBJECTS, *CONTROLS)]
    rows = [row for section_rows in sections for subject_rows in section_rows for row in subject_rows]
    rows.sort(key=lambda row: subjects.index(row.subject))
    conclusion, reason = conclude(rows)
    return StudyResult(
        rows,
        conclusion,
        reason,
        {
            "pairs": SAMPLES[options.level],
            "cost_samples": cost_rows.SAMPLES[options.level],
            "technology": conditions(),
            "data": options.data,
            "examples": list(EXAMPLES),
            "margin_images": margins_study.IMAGES[options.level],
            "margin_hyperparameters": {
                key: dict(values) for key, values in margins_study.HYPERPARAMETERS[options.level].items()
            },
            "audit_images": AUDIT_IMAGES[options.level],
            "audit": asdict(AUDIT[options.level]),
            "seed": 0,
            "weights_sha256": weights_record("lenet5")["sha256"],
        },
        render(lambda: _figure(sections), salt="heap_vs_axfpm", style=seaborn.axes_style("whitegrid")),
    )


def _label(name: str) -> str:
    return name if name in CONTROLS else design(name).label


def _network(name: str) -> nn.Module:
    """Returns LeNet-5 through a design, or a control."""
    exact = load_model("lenet5")
    if name == CONTROL:
        return power_of_two_control(exact)
    if name in CONTROLS:
        return further_victims(exact, "lenet5", "quick", matched=[name.removesuffix(MATCHED)])[name]
    return approximate(exact, design(name))


def _images(options: StudyOptions) -> tuple[torch.Tensor, torch.Tensor]:
    return load_test_images(model="lenet5", data=options.data, folder=options.data_folder)


@lru_cache(maxsize=1)
def _reference(options: StudyOptions) -> Reference:
    """Returns the attacks on the exact network, which all audits share."""
    images, labels = _images(options)
    settings = AUDIT[options.level]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed))
    indices = order[: AUDIT_IMAGES[options.level]]
    return Reference(load_model("lenet5"), images[indices], labels[indices], settings)


def _stored(victim: nn.Module) -> dict[str, TransferResult]:
    """Like `measure_transfer`, for a victim that is a network rather than a design."""
    source = approximate(load_model("lenet5"), design("exact"))
    results = {}
    for name in EXAMPLES:
        stored = load_examples(name)
        outcome = judge(
            victim,
            stored.clean,
            stored.adversarial,
            stored.labels,
            source_clean=predict(source, stored.clean),
            source_adversarial=predict(source, stored.adversarial),
        )
        results[name] = TransferResult(outcome.fooled, int(outcome.eligible.sum()))
    return results


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Concludes from the published comparisons of HEAP with Ax-FPM.

    Reproduced in direction: every comparison holds here. The rows show how close the numbers are.
    """
    value = measured(rows)
    claims: dict[str, bool] = {}
    for label in (_label("axfpm"), _label("axfpm_released")):
        if any(row.subject == label for row in rows):
            claims |= _compared(value, label)
    texts = [f"{claim}: {'holds' if holds else 'does not hold'}" for claim, holds in claims.items()]
    audits = [f"{row.subject} {row.remark}" for row in rows if row.quantity.startswith("robust accuracy, l")]
    attacked = f" Under adaptive attack: {', '.join(audits)}." if audits else ""
    return (
        verdict(reproduced=False, in_direction=all(claims.values())),
        f"published claims here: {'; '.join(texts)}.{attacked} heap is a reconstruction (study heap), and which of two "
        "circuits more attacks transfer to is a matter of the network (study several_networks).",
    )


def _compared(value: Mapping[tuple[str, str], float], label: str) -> dict[str, bool]:
    """Whether each published comparison of HEAP with Ax-FPM holds for the circuit `label`."""

    def less(quantity: str) -> bool:
        return value[_label("heap"), quantity] < value[label, quantity]

    other = "" if label == _label("axfpm") else f" than {label}"
    return {
        f"heap errs less{other}": less("NMED"),
        f"{label} costs less energy and delay": not less("energy / exact, glitches included")
        and not less("delay / exact"),
        f"heap is as accurate or more{other}": not less("accuracy"),
        f"fewer attacks transfer to {label}": not less("transfer, fgsm_smallest") and not less("transfer, pgd"),
    }


# ---- the page of panels


def _figure(sections: Sequence[Sequence[Sequence[Row]]]) -> Figure:
    """Draws the page from the rows [section][subject]: the noise above, and one panel per quantity below."""
    panels = [
        [row for subject_rows in section_rows for row in subject_rows if row.quantity == quantity]
        for section_rows in sections
        for quantity in dict.fromkeys(row.quantity for subject_rows in section_rows for row in subject_rows)
    ]
    cells: list[list[Row] | None] = []
    for index, rows in enumerate(panels):
        if index and len(rows) != len(panels[index - 1]):  # panels with other subjects start a new line
            cells += [None] * (-len(cells) % COLUMNS)
        cells.append(rows)
    lines = -(-len(cells) // COLUMNS)
    figure = Figure(figsize=(3.9 * len(SUBJECTS), 6.6 + 1.5 * lines), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[6.6, 1.5 * lines])
    noise, numbers = halves
    noise.suptitle("Noise e = result - exact product, operands uniform in [0, 1]", fontsize=11)
    _noise(noise.subplots(2, len(SUBJECTS)), noise)
    grid = numbers.subplots(lines, COLUMNS, squeeze=False)
    for index, axes in enumerate(grid.flat):
        panel = cells[index] if index < len(cells) else None
        if panel is None:
            axes.set_axis_off()
        else:
            _dots(axes, panel, named=index % COLUMNS == 0)
    numbers.suptitle("Measured (dot, 95 % interval) and published (cross)", fontsize=11)
    return figure


def _noise(grid: Any, figure: Any) -> None:
    """Draws mean e over both operands, on one colour scale, and below it a histogram of e and the exact product."""
    surfaces: list[ErrorSurface] = [error_surface(design(name), bins=BINS) for name in SUBJECTS]
    largest = max(float(np.nanmax(np.abs(surface.bias))) for surface in surfaces)
    x, w = uniform01(0, 0, SHOWN_PAIRS)
    exact = x.astype(np.float64) * w
    errors = [design(name).multiply(x, w) - exact for name in SUBJECTS]
    low, high = min(e.min() for e in errors), max(e.max() for e in errors)
    for column, (name, surface, e) in enumerate(zip(SUBJECTS, surfaces, errors, strict=True)):
        top, bottom = grid[0, column], grid[1, column]
        mesh = top.pcolormesh(
            surface.w_edges,
            surface.x_edges,
            surface.bias,
            norm=TwoSlopeNorm(0.0, -largest, largest),
            cmap="RdBu_r",
            rasterized=True,
        )
        top.set_title(design(name).label, fontsize=10)
        top.set_xlabel("second operand (weight)", fontsize=8)
        top.set_ylabel("first operand (activation)", fontsize=8)
        hist = bottom.hist2d(
            exact, e, bins=(90, 90), range=((0, 1), (low, high)), norm=LogNorm(1, 300), cmap="viridis", rasterized=True
        )
        bottom.axhline(0, color="0.3", linewidth=0.8)
        bottom.set_xlabel("exact product", fontsize=8)
        bottom.set_ylabel("e", fontsize=8)
    figure.colorbar(mesh, ax=grid[0, :].tolist(), label="mean e", shrink=0.85)
    figure.colorbar(hist[3], ax=grid[1, :].tolist(), label=f"pairs of {SHOWN_PAIRS:,}", shrink=0.85)


def _dots(axes: Axes, rows: Sequence[Row], *, named: bool) -> None:
    """Draws one quantity with one line per subject, labelled if `named`. Audit verdicts stand beside the dots."""
    dots(axes, rows, [row.subject if named else "" for row in rows])
    unit = f" [{rows[0].unit}]" if rows[0].unit else ""
    values = [end for row in rows for end in (row.interval or (row.measured,))]
    values += [row.published for row in rows if row.published is not None]
    if rows[0].unit == "%" and max(values) - min(values) > WIDE:
        axes.set_xlim(-4, 104)
    axes.set_title(f"{rows[0].quantity}{unit}", fontsize=8, loc="left")
    if rows[0].remark in VERDICTS:
        axes.set_xlim(-4, 200)
        axes.set_xticks(range(0, 101, 25))
        for height, row in enumerate(reversed(rows)):
            axes.text(106, height, row.remark, fontsize=7, va="center")
