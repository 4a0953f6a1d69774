"""`run_audit`: whether a design, or any network, resists attacks better than the exact network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from circuits import Design
from cnn_eval.audit import adaptive_attacks
from cnn_eval.audit.attack_battery import class_count
from cnn_eval.audit.attack_log import AttackLog
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_reference import Reference
from cnn_eval.audit.audit_report import AuditReport
from cnn_eval.audit.audit_run import AuditRun, require_eligible
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.victim import Victim, approximate_victim, design_victim, is_approximate, module_victim
from cnn_eval.audit.wrapped_networks import Logarithm, are_probabilities
from cnn_eval.layers.product_kinds import compute_argument
from cnn_eval.models.inference import evaluation_mode, logits, predict
from cnn_eval.models.user_model import check_model

__all__ = ["check_eligible", "run_audit"]


def run_audit(
    subject: Design | Mapping[str, Design] | nn.Module,
    exact: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    settings: AuditSettings | None = None,
    layers: str = "conv",
    backward: str = "ste",
    compute: str = "auto",
    surrogates: Mapping[str, nn.Module] | None = None,
    name: str | None = None,
    reference: Reference | None = None,
    progress: bool = False,
    mode: str | None = None,
    keep: Callable[[AttackLog], None] = lambda log: None,
) -> AuditReport:
    """Whether `subject` resists attacks better than the network `exact`, and whether that can be believed.

    `subject`: a design (then it is `exact` with its `layers` through the design, `backward` being its native gradient),
    a design for each layer, or any network with the same inputs and classes; `surrogates`: for a network, further
    networks to differentiate through while the values are the subject's. `images`: float32 [N, C, H, W] in [0, 1] with
    true `labels`, int64 [N]. `compute` of designs: "gate", "lowered", or "auto": lowered while attacking where the
    design allows; `mode` is its old name and deprecated. Success always counts by the gate-exact network. `reference`:
    a `Reference(exact, images, labels, settings)` saves attacking the exact network again for each subject.
    `keep` receives the log of the attacks on the subject.

    Seeded and deterministic; the networks are left as they were. Raises ValueError for arguments that do not fit, where
    no image is classified correctly by both networks, and where pixels leave [0, 1]; MissingExtraError without Foolbox
    or pyautoattack.
    """
    begun = time.monotonic()
    compute = compute_argument(compute, mode)
    adaptive_attacks.require_libraries()
    settings = (settings or AuditSettings()).with_budget(images.shape[1:])
    if reference is None:
        reference = Reference(exact, images, labels, settings)
    # Counts of a reference with another budget would be compared without a warning.
    elif reference.settings != settings or not torch.equal(reference.images, images):
        raise ValueError("a reference must be made with the same images and settings, but is not; make another.")
    victim = _victim_of(subject, reference, layers=layers, backward=backward, compute=compute, surrogates=surrogates)
    networks = [reference.exact, *victim.networks()]
    with Meter(enabled=progress) as meter, meter.watch(networks, len(images)), evaluation_mode(*networks):
        run = AuditRun(victim, reference, meter)
        report = run.report(name or victim.name, begun)
        keep(run.subject)
        return report


def check_eligible(
    subject: Design | Mapping[str, Design] | nn.Module,
    reference: Reference,
    *,
    layers: str = "conv",
    backward: str = "ste",
) -> None:
    """Raises ValueError, as `run_audit` would, where no image is classified correctly by both. One forward pass."""
    victim = _victim_of(subject, reference, surrogates=None, layers=layers, backward=backward, compute="gate")
    right = predict(victim.judge, reference.images) == reference.labels
    require_eligible(victim.name, right, reference.log.right)


def _victim_of(
    subject: Design | Mapping[str, Design] | nn.Module, reference: Reference, *, surrogates: Any, **how: Any
) -> Victim:
    """The subject's network with its gradients; its logarithm where its outputs are probabilities."""
    if not isinstance(subject, nn.Module):
        if surrogates:
            raise ValueError("surrogates must be left out for a design, but are given; its gradients are known.")
        return design_victim(reference.exact, subject, **how)
    check_model(subject, reference.images, reference.labels)
    classes = class_count(subject, reference.images)
    if classes != reference.classes:
        raise ValueError(
            f"both networks must have the same classes, but have {classes} and {reference.classes}; compare others."
        )
    with evaluation_mode(subject):
        probabilities = are_probabilities(logits(subject, reference.images))
    name = type(subject).__name__
    if is_approximate(subject) and not surrogates:
        victim = approximate_victim(subject, name=name, compute=how["compute"])
        return victim.logarithm() if probabilities else victim
    network = Logarithm(subject) if probabilities else subject
    # Nothing is known of its layers; the exact network's gradient is the surrogate that always exists.
    victim = module_victim(network, name=name, borrowed=reference.exact, surrogates=surrogates)
    return replace(victim, probabilities=probabilities)
