"""Own study: study audit on five LeNet-5s: is any approximate network more robust than its exact one?

Robust accuracy is the worst case over all attacks of an audit, image by image; the difference to the exact network is
paired, and its interval contains the variance between networks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cnn_eval.audit.audit_reference import Reference
from cnn_eval.audit.audit_report import AuditReport
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.auditing import run_audit
from cnn_eval.data.loading import load
from cnn_eval.models.registry import load_model, weights_record
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.own.audit import audited_subjects
from studies.own.networks.several_networks import NETWORKS
from studies.rows.over_networks import RECORD, Claimed, Found, Measured, changed, found_on_each, over, rows_of, shared

TITLE = "audits of five LeNet-5s through designs: robust accuracy less exact"
SOURCE = "own; DA abstract and section 5"
TOLERANCE = 0.1
IMAGES = {"quick": 12, "default": 50, "full": 500}
SETTINGS = {
    "quick": AuditSettings(
        steps=10, apgd_steps=10, queries=100, minimum_steps=30, deepfool_steps=20, noise_draws=2, decision_images=0
    ),
    "default": AuditSettings(steps=20, apgd_steps=25, queries=500, minimum_steps=100, noise_draws=5, decision_images=0),
    "full": AuditSettings(decision_images=0),
}
"""Only level full spends what a verdict on one network should rest on; study audit does so on one."""
ROBUST = "robust accuracy, less exact"


def run(options: StudyOptions) -> StudyResult:
    """Audits the subjects of study audit on every network, on images drawn from the test set without replacement."""
    images = load("mnist", "test", source=options.data, folder=options.data_folder)
    settings = SETTINGS[options.level]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed))[: IMAGES[options.level]]

    def measure(name: str) -> Found:
        exact = load_model(name)
        reference = Reference(exact, images.images[order], images.labels[order], replace(settings, norm="linf"))
        found: Found = {}
        for label, (subject, layers) in audited_subjects(exact, name, options.level).items():
            report = run_audit(
                subject,
                exact,
                reference.images,
                reference.labels,
                settings=reference.settings,
                reference=reference,
                layers=layers,
                name=label,
                progress=options.level != "quick",
            )
            found |= _found(label, report)
        return found

    rows = rows_of(found_on_each(options, NETWORKS, measure), Claimed(limit=_limit))
    pooled = [row for row in rows if row.quantity == f"{ROBUST}, {over(NETWORKS)}"]
    texts = [f"{row.subject} {row.measured:+.1f} points{_interval(row)}" for row in pooled]
    return StudyResult(
        rows,
        "measured",
        f"robust accuracy less exact, paired, over {len(NETWORKS)} networks: {', '.join(texts)}.",
        {
            "networks": {name: weights_record(name)["sha256"] for name in NETWORKS},
            "level": options.level,
            "data": options.data,
            "images": len(order),
            "audit": vars(settings),
            "bootstrap": RECORD,
        },
    )


def _interval(row: Row) -> str:
    return f" ({row.interval[0]:+.1f} .. {row.interval[1]:+.1f})" if row.interval else ""


def _found(label: str, report: AuditReport) -> Found:
    """Robust accuracy and its paired difference to exact, whose images the report counts."""
    robust = np.arange(report.images) < report.robust
    # Any order of the images has the report's counts of those that are robust in one network alone.
    place = np.arange(report.images)
    difference = changed(place < report.gained, (report.gained <= place) & (place < report.gained + report.lost))
    return {
        (label, "robust accuracy"): shared(robust),
        (label, ROBUST): Measured(difference.values, difference.interval, difference.unit, report.verdict),
    }


def _limit(_: str, quantity: str) -> float | None:
    return 0.0 if quantity == ROBUST else None
