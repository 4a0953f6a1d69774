"""The page and the kept examples of the command `audit`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from cnn_eval.audit.attack_log import TRANSFERRED, AttackLog
from cnn_eval.audit.audit_report import AuditReport
from cnn_eval.audit.verdict_rules import MASKING_POINTS, SIGNIFICANT, TRANSFERS, VERDICTS
from cnn_eval.commands.robustness.example_pictures import class_names, class_words, drawable, picture
from cnn_eval.commands.robustness.kept_examples import save_examples
from cnn_eval.commands.robustness.page_options import command_of
from cnn_eval.commands.robustness.robustness_page import (
    Cell,
    Curves,
    PageTable,
    Picture,
    RobustnessPage,
    Series,
    Verdict,
    percent,
    write_page,
)
from cnn_eval.models.inference import predict

__all__ = ["Audited", "audit_page", "keep_audits"]

_PICTURES = 4
"""Pictures of each subject."""
_MARKS = {True: "ok", False: "look", None: "-"}


@dataclass(frozen=True)
class Audited:
    """A report, and the log of the attacks that it is about."""

    report: AuditReport
    log: AttackLog


def audit_page(
    arguments: argparse.Namespace,
    audits: Sequence[Audited],
    budget: tuple[float, str],
) -> None:
    """Writes --report; `budget`: (epsilon, the reason for it)."""
    reports = [audit.report for audit in audits]
    size = f"{arguments.norm} {budget[0]:.3g} ({budget[1]})"
    write_page(
        arguments.report,
        RobustnessPage(
            title=f"Audit of {arguments.model}: {', '.join(report.subject for report in reports)}",
            question={
                "asked": "does the network through each design resist attacks better than the exact one, and can that "
                "be believed?",
                "network": f"{arguments.model}, {arguments.layers} layers through each design",
                "images": f"{reports[0].images} test images ({arguments.data}), drawn by seed {arguments.seed}",
                "budget": size,
                "gradients": f"the native one is {arguments.backward}",
                "command": command_of(arguments),
            },
            verdicts=[_verdict(report) for report in reports],
            tables=[_attacks(reports), _transfers(reports), _checks(reports)],
            curves=[_bars(report) for report in reports],
            pictures=[shown for audit in audits for shown in _pictures(arguments, audit, size)],
            notes=[
                f"Verdicts, the first that holds: {VERDICTS[0]}, where attacks through the own gradients fall "
                f"{MASKING_POINTS:g} points behind others; {VERDICTS[1]}, where more images stay right than in the "
                f"exact network and McNemar's p < {SIGNIFICANT:g}; {VERDICTS[2]}, where less than "
                f"{100 * TRANSFERS:.0f} % of the examples at the exact network's boundary transfer, but that many with "
                f"a margin; else {VERDICTS[3]}.",
                "Rates are of the images that both networks classify correctly; intervals: Wilson, 95 %.",
            ],
        ),
    )


def _verdict(report: AuditReport) -> Verdict:
    reasons = [f"{check.name}: {check.found}; {check.why}" for check in report.checks if check.passed is False]
    masking, robust, *_ = VERDICTS
    good = {masking: False, robust: True}.get(report.verdict)
    return Verdict(report.subject, report.sentence, reasons, good)


def _attacks(reports: Sequence[AuditReport]) -> PageTable:
    rows: list[list[Cell]] = []
    for report in reports:
        for result in report.attacks:
            exact = None if result.fooled_exact is None else result.fooled_exact / result.eligible
            fooled = (f"{result.fooled} / {result.eligible}", result.fooled)
            rates = percent(result.rate, result.interval)
            exact_rate: Cell = ("", None) if exact is None else percent(exact)[0]
            rows.append([report.subject, result.name, *rates, exact_rate, result.gradient, result.kind, fooled])
    more = ("exact\n%", "gradient", "kind", "fooled / of")
    heads = ["design", "attack", "fooled\n%", "95 %\n(Wilson)", *more]
    return PageTable("attacks", "Attacks", heads, rows)


def _transfers(reports: Sequence[AuditReport]) -> PageTable:
    rows: list[list[Cell]] = [
        [
            report.subject,
            pair.name,
            *percent(pair.minimum_rate),
            *percent(pair.margin_rate),
            ", ".join(f"{name} {count}" for name, count in pair.destinations.items()),
        ]
        for report in reports
        for pair in report.transfers
    ]
    heads = ["design", "transfer from exact", "at the boundary\n%", "with a margin\n%", "examples at the boundary"]
    return PageTable("transfers", "Transfer from the exact network", heads, rows)


def _checks(reports: Sequence[AuditReport]) -> PageTable:
    rows = [
        [check.name, _MARKS[check.passed], check.found, check.threshold, check.why, report.subject]
        for report in reports
        for check in report.checks
    ]
    return PageTable("checks", "Checks", ["check", "result", "found", "threshold", "why it matters", "design"], rows)


def _bars(report: AuditReport) -> Curves:
    """Rates of all attacks beside those of the same attacks on the exact network."""
    attacks = [result for result in report.attacks if result.kind != "transfer"]
    names = [f"{result.name}, {result.gradient}" if result.gradient else result.name for result in attacks]
    own = Series(
        report.subject,
        names,
        [100 * result.rate for result in attacks],
        [100 * result.interval[0] for result in attacks],
        [100 * result.interval[1] for result in attacks],
    )
    exact = [None if r.fooled_exact is None else 100 * r.fooled_exact / r.eligible for r in attacks]
    return Curves(report.subject, "attack", "images fooled [%]", [own, Series("exact network", names, exact)], "bars")


def _pictures(arguments: argparse.Namespace, audit: Audited, size: str) -> list[Picture]:
    """Images that an attack of the subject's own fools, a different attack each as far as there are any."""
    log = audit.log
    if not drawable(log.images):
        return []
    names = class_names(arguments)
    pictures: list[Picture] = []
    shown: set[int] = set()
    for key, fooled in log.fooled.items():
        index = next((k for k in fooled.nonzero()[:, 0].tolist() if k not in shown), None)
        if key.startswith(TRANSFERRED) or index is None or len(pictures) == _PICTURES:
            continue
        shown.add(index)
        adversarial = log.examples[key][index]
        seen = int(predict(log.victim.judge, adversarial[None])[0])
        words = f"{class_words(names, int(log.labels[index]))}, taken for {class_words(names, seen)}"
        caption = f"{key} on {audit.report.subject}, image {index}; budget: {size}"
        pictures.append(picture(log.images[index], adversarial, classes=words, caption=caption))
    return pictures


def keep_audits(
    arguments: argparse.Namespace, audits: Sequence[Audited], images: torch.Tensor, labels: torch.Tensor
) -> None:
    """Writes --save: the examples of every attack on every subject ("heap/PGD, native"), in the audit's order."""
    examples: dict[str, torch.Tensor] = {}
    fooled: dict[str, torch.Tensor] = {}
    for audit in audits:
        own: Mapping[str, torch.Tensor] = {
            key: tensor for key, tensor in audit.log.examples.items() if not key.startswith(TRANSFERRED)
        }
        examples |= {f"{audit.report.subject}/{key}": tensor for key, tensor in own.items()}
        fooled |= {f"{audit.report.subject}/{key}": audit.log.fooled[key] for key in own if key in audit.log.fooled}
    record = {"command": command_of(arguments), "settings": [dict(audit.report.settings) for audit in audits]}
    save_examples(arguments.save, images, labels, examples, fooled, record)
