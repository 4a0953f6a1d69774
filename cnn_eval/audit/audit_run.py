"""One audit from the first attack to the report: attacks on the subject, exchange of examples, checks, counts."""

from __future__ import annotations

import time
from dataclasses import asdict

import torch
from torch import nn

from cnn_eval.audit.attack_battery import MINIMUM_NORM, Battery
from cnn_eval.audit.attack_log import TRANSFERRED, AttackLog
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_reference import Reference, crafting_calls
from cnn_eval.audit.audit_report import AttackResult, AuditReport, Kind, TransferPair
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.check_evidence import Evidence, count_fooled, is_same_scale, logit_scale_ratio, sample_gradients
from cnn_eval.audit.checks import evaluate_checks
from cnn_eval.audit.victim import Victim
from cnn_eval.audit.wrapped_networks import Attached, Scaled
from cnn_eval.models.inference import predict

__all__ = ["AuditRun", "require_eligible"]

_ITERATIVE = ("PGD", "APGD-CE", "APGD-T")


class AuditRun:
    """One audit of `victim`, the subject's network, beside `reference`."""

    def __init__(self, victim: Victim, reference: Reference, meter: Meter) -> None:
        self.reference = reference
        self.settings = reference.settings
        self.meter = meter
        self.exact = reference.log
        self.subject = AttackLog(victim, reference.images, reference.labels, self.settings)
        self.eligible = self.subject.right & self.exact.right
        require_eligible(victim.name, self.subject.right, self.exact.right)
        self.fooled_exact = torch.zeros_like(self.eligible)
        """Which images anything has fooled in the exact network, the subject's examples included."""
        self.exchanged: set[tuple[bool, str]] = set()
        """Examples tried on the other network already: (whether they are the exact network's, their key)."""

    def report(self, name: str, begun: float) -> AuditReport:
        """Attacks, checks and counts; `begun`: `time.monotonic()` at the start."""
        subject, victim = self.subject, self.subject.victim
        self.meter.plan(_planned_calls(self.settings, self.reference, len(victim.gradients)))
        self.reference.attack(self.meter)
        evidence, best, temperature = self._attack()
        checks = evaluate_checks(evidence)
        native_label, best_label = victim.native_label, evidence.strongest[0]
        robust, robust_exact = subject.right & ~subject.any_fooled(), self.exact.right & ~self.fooled_exact
        return AuditReport(
            subject=name,
            mode=victim.compute,
            images=len(subject.labels),
            eligible=int(self.eligible.sum()),
            right=int(subject.right.sum()),
            right_exact=int(self.exact.right.sum()),
            checks=checks,
            attacks=tuple(self._results(native_label)),
            transfers=tuple(self._transfers()),
            robust=int(robust.sum()),
            robust_exact=int(robust_exact.sum()),
            gained=int((robust & ~robust_exact).sum()),
            lost=int((robust_exact & ~robust).sum()),
            # A union over attacks: an image counts once, whichever of the three fools it.
            native=self._count(*(f"{attack}, {native_label}" for attack in _ITERATIVE)),
            surrogate=self._count(*(f"{attack}, {best_label}" for attack in _ITERATIVE)),
            gradient_free=self._count("Square"),
            seconds=round(time.monotonic() - begun, 1),
            settings={
                **asdict(self.settings),
                "epsilon": self.settings.budget,
                "native_gradient": victim.native,
                "best_gradient": best,
                "temperature": temperature,
            },
        )

    def _attack(self) -> tuple[Evidence, str, float]:
        """Runs all attacks on the subject; returns the evidence, the strongest gradient's name and the temperature.

        All gradients get a PGD; only the native one and the strongest, by PGD, get the expensive attacks. Surrogates,
        and the native gradient once more, are attacked with the logits divided by the temperature, where the scale of
        the logits differs from the exact network's.
        """
        subject, victim = self.subject, self.subject.victim
        ratio = logit_scale_ratio(victim, self.exact.victim, subject.images[self.eligible])
        temperature = 1.0 if is_same_scale(ratio) else ratio
        plain: dict[str, nn.Module] = {key: Attached(network) for key, network in victim.gradients.items()}
        gradients = sample_gradients(subject, self.exact.victim, plain, self.eligible)

        native, native_label = plain[victim.native], victim.native_label
        scaled = {key: net if temperature == 1 else Scaled(net, temperature) for key, net in plain.items()}
        suffix = "" if temperature == 1 else f", logits / {temperature:.3g}"
        labels = {key: (native_label if key == victim.native else key) + suffix for key in scaled}
        battery = Battery(subject, self.reference.classes, self.meter)
        battery.single(native_label, native)
        battery.pgd(native_label, native)
        for key, network in scaled.items():
            if labels[key] != native_label:
                battery.pgd(labels[key], network)
        # Where two are equally strong, the first counts as the strongest, which is the native one.
        best = max(scaled, key=lambda key: self._count(f"PGD, {labels[key]}"))
        best_label, best_network = labels[best], scaled[best]
        battery.apgd(native_label, native)
        if best_label != native_label:
            battery.single(best_label, best_network)
            battery.apgd(best_label, best_network)
        battery.minimum(best_label, best_network)
        # Taken here, before anything without gradients has run: the check "white-box strongest" compares the two.
        by_gradient = subject.any_fooled()
        battery.gradient_free(victim.value)
        self._exchange()
        # After the exchange, so that the doubled effort is spent on images that really nothing has fooled.
        unfooled = len(subject.unfooled)
        doubled = battery.doubled(best_label, best_network)
        decision_images = self.eligible.nonzero()[: self.settings.decision_images, 0]
        decision_norms = battery.decision(victim.value, decision_images)
        # Once more, for the examples that have come since; `exchanged` keeps the others from being tried twice.
        self._exchange()
        evidence = Evidence(
            subject=subject,
            exact=self.exact,
            meter=self.meter,
            logit_ratio=ratio,
            gradients=gradients,
            attackers={native_label: native, best_label: best_network},
            by_gradient=by_gradient,
            doubled=doubled,
            unfooled=unfooled,
            decision_images=decision_images,
            decision_norms=decision_norms,
        )
        return evidence, best, temperature

    def _count(self, *keys: str) -> int:
        return count_fooled(self.subject, self.eligible, *keys)

    def _exchange(self) -> None:
        """Tries every example of either network on the other; what fools it counts against it."""
        # Examples of images that were not attacked are the clean images, which fool nothing that is right on them.
        everything = torch.arange(len(self.eligible))
        self.fooled_exact |= self.exact.any_fooled()
        for source, other in ((self.exact, self.subject), (self.subject, self.exact)):
            for key, examples in list(source.examples.items()):
                mark = source is self.exact, key
                if key.startswith(TRANSFERRED) or mark in self.exchanged:
                    continue
                self.exchanged.add(mark)
                if other is self.subject:
                    other.record(TRANSFERRED + key, everything, examples)
                else:
                    self.fooled_exact |= other.judged(everything, examples)

    def _transfers(self) -> list[TransferPair]:
        """How the exact network's examples with and without a margin do on the subject."""
        labels, judge, exact = self.reference.labels, self.subject.victim.judge, self.exact.victim.judge
        pairs = []
        for name, sets in self.reference.crafted.items():
            subject_classes = [predict(judge, examples) for examples in sets]
            exact_classes = [predict(exact, examples) for examples in sets]
            # An example counts as crafted only if it fools the exact network that it was made for.
            minimum, margin = (self.eligible & (classes != labels) for classes in exact_classes)
            fooled_minimum, fooled_margin = (
                crafted & (classes != labels)
                for crafted, classes in zip((minimum, margin), subject_classes, strict=True)
            )
            # Same class as in the exact network: the examples then transfer by what both have learned.
            same = fooled_minimum & (subject_classes[0] == exact_classes[0])
            pairs.append(
                TransferPair(
                    name,
                    minimum=int(fooled_minimum.sum()),
                    minimum_crafted=int(minimum.sum()),
                    margin=int(fooled_margin.sum()),
                    margin_crafted=int(margin.sum()),
                    destinations={
                        "same class": int(same.sum()),
                        "other class": int((fooled_minimum & ~same).sum()),
                        "not fooled": int((minimum & ~fooled_minimum).sum()),
                    },
                )
            )
        return pairs

    def _results(self, native_label: str) -> list[AttackResult]:
        """One result for each attack on the subject, in the order in which they ran."""
        count = int(self.eligible.sum())
        results = []
        for key, mask in self.subject.fooled.items():
            name, _, gradient = key.removeprefix(TRANSFERRED).partition(", ")
            counterpart = None if key.startswith(TRANSFERRED) else self.exact.fooled.get(_counterpart(name, gradient))
            results.append(
                AttackResult(
                    name + ", doubled" * gradient.startswith("doubled, "),
                    _kind(key, native_label),
                    gradient.removeprefix("doubled, "),
                    int((mask & self.eligible).sum()),
                    count,
                    None if counterpart is None else int((counterpart & self.eligible).sum()),
                )
            )
        return results


def require_eligible(name: str, right: torch.Tensor, right_exact: torch.Tensor) -> None:
    """Raises ValueError unless the subject `name` and the exact network are right on an image in common."""
    if not bool((right & right_exact).any()):
        raise ValueError(
            f"at least one of the {len(right)} images must be classified rightly by both networks, but {name} is right "
            f"on {int(right.sum())} and the exact network on {int(right_exact.sum())}, on none together; give other "
            "images or a trained network."
        )


def _kind(key: str, native_label: str) -> Kind:
    name, _, gradient = key.partition(", ")
    if key.startswith(TRANSFERRED):
        return "transfer"
    if not gradient:
        return "control" if name == "random noise" else "gradient-free"
    if name in MINIMUM_NORM.values():
        return "minimum norm"
    return "native gradient" if gradient.removeprefix("doubled, ") == native_label else "surrogate gradient"


def _counterpart(name: str, gradient: str) -> str:
    """The key of the exact network's attack to compare with: the same attack through its own gradient."""
    if not gradient:
        return name
    return f"{name}, doubled, native" if gradient.startswith("doubled, ") else f"{name}, native"


def _planned_calls(settings: AuditSettings, reference: Reference, gradients: int) -> float:
    """Approximate number of calls of a network with all images, for the progress bar."""
    targets = min(9, reference.classes - 1)
    strong = settings.steps + settings.apgd_steps * (1 + targets)
    shared = settings.queries / 3 + settings.minimum_steps + settings.deepfool_steps * targets + 4 * settings.steps
    decisions = 40_000 * settings.decision_images / len(reference.images)
    checks = settings.steps * 6
    exact = 0 if reference.attacked else strong + shared + crafting_calls(settings)
    return exact + strong * 2 + settings.steps * gradients + shared + decisions + checks
