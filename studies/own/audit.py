"""Own study: audits the robustness of the approximate networks against an adaptive attacker."""

from __future__ import annotations

from dataclasses import replace

import torch

from circuits import design
from circuits.support.statistics import wilson
from cnn_eval.attacks.shared.attack_modes import BallNorm
from cnn_eval.audit.audit_reference import Reference
from cnn_eval.audit.audit_report import AuditReport
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.auditing import run_audit
from cnn_eval.data.loading import load
from cnn_eval.models.registry import load_model, weights_record
from cnn_eval.scenarios.control import CONTROL, power_of_two_control
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "adaptive attacks on LeNet-5 through designs: robust accuracy, gradients, transfer, verdict"
SOURCE = "own; DA section 5"
TOLERANCE = 0.1
SUBJECTS = {
    "quick": ("axfpm", "axfpm_released", "heap"),
    "default": ("axfpm", "axfpm_released", "heap"),
    "full": ("axfpm", "axfpm_tiled", "axfpm_released", "heap", "ama1_array", "bfloat16"),
}
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
        for name in (*SUBJECTS[options.level], CONTROL):
            report = run_audit(
                power_of_two_control(exact) if name == CONTROL else design(name),
                exact,
                sample,
                labels,
                settings=reference.settings,
                reference=reference,
                name=CONTROL if name == CONTROL else design(name).label,
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
