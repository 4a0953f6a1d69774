"""Own study: audits the robustness of the approximate networks against an adaptive attacker."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from circuits import Design, design
from circuits.support.statistics import wilson
from cnn_eval.attacks.shared.attack_modes import BallNorm
from cnn_eval.audit.audit_reference import Reference
from cnn_eval.audit.audit_report import AuditReport
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.auditing import run_audit
from cnn_eval.data.loading import load
from cnn_eval.models.registry import load_model, weights_record
from cnn_eval.scenarios.control import CONTROL, matched_control, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows.further_victims import ALL_LAYERS, GAIN_IMAGES, MATCHED, through, training_images

TITLE = "adaptive attacks on LeNet-5 through designs: robust accuracy, gradients, transfer, verdict"
SOURCE = "own; DA section 5"
TOLERANCE = 0.1
_ALL = f"axfpm_released{ALL_LAYERS}"
SUBJECTS = {
    "quick": ("axfpm", "axfpm_released", "heap"),
    "default": ("axfpm", "axfpm_released", _ALL, "heap"),
    "full": ("axfpm", "axfpm_tiled", "axfpm_released", _ALL, "heap", "ama1_array", "bfloat16"),
}
MATCHED_TO = {
    "quick": ("axfpm_released",),
    "default": ("axfpm_released", "heap"),
    "full": ("axfpm_released", _ALL, "heap"),
}
"""Subjects whose matched control is audited too."""
IMAGES = {"quick": 25, "default": 100, "full": 1000}
NORMS: dict[str, tuple[BallNorm, ...]] = {"quick": ("linf",), "default": ("linf", "l2"), "full": ("linf", "l2")}
SETTINGS = {
    "quick": AuditSettings(steps=20, apgd_steps=25, queries=500, minimum_steps=100, noise_draws=5, decision_images=0),
    "default": AuditSettings(decision_images=3),
    "full": AuditSettings(minimum_steps=1000),
}


def run(options: StudyOptions) -> StudyResult:
    """Audits every subject and the control in every norm, on images drawn from the test set without replacement.

    Levels quick and default use embedded test images, full those of MNIST. Quick has fewer steps and queries.
    """
    images = load("mnist", "test", source=options.data, folder=options.data_folder)
    settings = SETTINGS[options.level]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed))[: IMAGES[options.level]]
    sample, labels = images.images[order], images.labels[order]
    exact = load_model("lenet5")
    rows: list[Row] = []
    verdicts = []
    for norm in NORMS[options.level]:
        reference = Reference(exact, sample, labels, replace(settings, norm=norm))
        for name, (subject, layers) in audited_subjects(exact, "lenet5", options.level).items():
            report = run_audit(
                subject,
                exact,
                sample,
                labels,
                settings=reference.settings,
                reference=reference,
                layers=layers,
                name=name,
                progress=options.level != "quick",
            )
            rows += _rows(report)
            verdicts.append(f"{name} ({norm} {report.settings['epsilon']:g}): {report.verdict}")
    return StudyResult(
        rows,
        "measured",
        "; ".join(verdicts) + ".",
        {
            "level": options.level,
            "data": options.data,
            "images": len(order),
            "seed": settings.seed,
            "norms": list(NORMS[options.level]),
            "steps": settings.steps,
            "apgd_steps": settings.apgd_steps,
            "queries": settings.queries,
            "minimum_steps": settings.minimum_steps,
            "weights_sha256": weights_record("lenet5")["sha256"],
        },
    )


def audited_subjects(exact: nn.Module, model: str, level: str) -> dict[str, tuple[Design | nn.Module, str]]:
    """Returns label -> (what to audit, the layers that a design computes), the controls last."""
    subjects: dict[str, tuple[Design | nn.Module, str]] = {}
    for name in SUBJECTS[level]:
        single = name.removesuffix(ALL_LAYERS)
        label = design(single).label + name.removeprefix(single)
        subjects[label] = design(single), "all" if name.endswith(ALL_LAYERS) else "conv"
    subjects[CONTROL] = power_of_two_control(exact), "conv"
    for name in MATCHED_TO[level]:
        single = name.removesuffix(ALL_LAYERS)
        layers = "all" if name.endswith(ALL_LAYERS) else "conv"
        label = design(single).label + name.removeprefix(single) + MATCHED
        approximated = through(exact, single, layers=layers)
        subjects[label] = matched_control(exact, approximated, training_images(model)[:GAIN_IMAGES]), "conv"
    return subjects


def _rows(report: AuditReport) -> list[Row]:
    """Returns the rows of one audit. Every share has its Wilson interval."""
    budget = f"{report.settings['norm']} {report.settings['epsilon']:g}"
    subject = f"{report.subject}, {budget}"

    def share(quantity: str, count: int, total: int, remark: str = "") -> Row:
        low, high = wilson(count, total)
        return Row(subject, quantity, 100 * count / total, interval=(100 * low, 100 * high), unit="%", remark=remark)

    rows = [
        share("robust accuracy", report.robust, report.images, report.verdict),
        share("robust accuracy, exact", report.robust_exact, report.images),
        share(f"fooled, own gradient ({report.settings['native_gradient']})", report.native, report.eligible),
        share(
            # Two gradients may do equally well, and the last bits of a processor decide: the name is only a remark.
            "fooled, best gradient",
            report.surrogate,
            report.eligible,
            f"{report.settings['best_gradient']}, logits / {report.settings['temperature']:.3g}",
        ),
        share("fooled, Square", report.gradient_free, report.eligible),
    ]
    for pair in report.transfers:
        for quantity, count, total in (
            ("at the boundary", pair.minimum, pair.minimum_crafted),
            ("with a margin", pair.margin, pair.margin_crafted),
        ):
            if total:
                rows.append(share(f"transfer of {pair.name}, {quantity}", count, total))
    for check in report.checks:
        if check.name.startswith("minimum L2 by ") and None not in check.values.values():
            name = check.name.removeprefix("minimum L2 by ")
            increase = check.values["subject"] - check.values["exact"]
            # DA's number is a difference of means, which figures8_11 compares.
            rows.append(Row(subject, f"median L2, {name}, less exact", increase))
    failed = [check.name for check in report.checks if check.passed is False]
    rows.append(
        Row(subject, "checks beyond threshold", len(failed), remark="; ".join(failed), unit="checks"),
    )
    rows.append(
        Row(
            subject,
            f"time, {report.images} images",
            report.seconds,
            unit="s",
            remark=f"{report.mode} products",
        )
    )
    return rows
