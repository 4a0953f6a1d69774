"""Carries out an audit: questions about the gradients, the attacks on both networks, cross-checks, the report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from circuits import Design
from cnn_eval.attacks import attack
from cnn_eval.audit import adaptive_attacks
from cnn_eval.audit.adaptive_attacks import batches
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_report import AttackResult, AuditReport, Kind, TransferPair
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.checks import Questions
from cnn_eval.audit.target import MINIMUM_NORM, TRANSFERRED, Battery, Target, class_count
from cnn_eval.audit.wrapped_networks import (
    Attached,
    Contestant,
    Logarithm,
    Raised,
    Scaled,
    approximate_contestant,
    are_probabilities,
    design_contestant,
    is_approximate,
    module_contestant,
)
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.models.inference import evaluation_mode, logits, predict
from cnn_eval.models.user_model import check_model

MARGIN_FACTOR = 1.2
MARGIN_KAPPA = 5.0
"""In logits, the confidence of Carlini and Wagner."""

_ITERATIVE = ("PGD", "APGD-CE", "APGD-T")


class Reference:
    """The exact network on the images of an audit, attacked when the first subject is audited and then kept.

    `images`: float32 [N, C, H, W] in [0, 1] with true `labels`, int64 [N].
    """

    def __init__(
        self, exact: nn.Module, images: torch.Tensor, labels: torch.Tensor, settings: AuditSettings | None = None
    ) -> None:
        check_images(images)
        check_labels(labels, len(images))
        if not len(images):
            raise ValueError("an audit must have an image, but there is none; give some.")
        self.settings = (settings or AuditSettings()).with_budget(images.shape[1:])
        check_model(exact, images, labels)
        with evaluation_mode(exact):
            probabilities = are_probabilities(logits(exact, images))
            self.exact = Logarithm(exact) if probabilities else exact
            self.target = Target(module_contestant(self.exact, name="exact"), images, labels, self.settings)
        self.images = images
        self.labels = labels
        self.classes = class_count(exact, images)
        self.attacked = False
        self.crafted: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        """Name -> (minimum-norm examples, the same with a margin), each [N, ...], clean where nothing was found."""

    def attack(self, meter: Meter) -> None:
        """Attacks the exact network, once."""
        if self.attacked:
            return
        self.attacked = True
        network = Attached(self.exact)
        battery = Battery(self.target, self.classes, meter)
        battery.single("native", network)
        battery.pgd("native", network)
        battery.apgd("native", network)
        battery.gradient_free(network)
        battery.minimum("native", network)
        battery.doubled("native", network)
        with meter.stage("exact: examples to transfer", _crafting_calls(self.settings)):
            self.crafted = self._craft()

    def _craft(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        chosen = self.target.chosen
        images, labels = self.images[chosen], self.labels[chosen]

        def spread(found: torch.Tensor) -> torch.Tensor:
            full = self.images.clone()
            full[chosen] = found
            return full

        if not len(images):
            return {}
        network = Attached(self.exact)
        smallest = attack("fgsm").run(network, images, labels, mode="minimum")
        further = (images + MARGIN_FACTOR * (smallest - images)).clamp(0, 1)
        crafted = {f"smallest FGSM, x{MARGIN_FACTOR:g}": (spread(smallest), spread(further))}
        confident = [
            attack("ddn", steps=self.settings.minimum_steps).run(Raised(network, y, MARGIN_KAPPA), x, y, mode="minimum")
            for x, y in batches(images, labels)
        ]
        crafted[f"DDN, kappa {MARGIN_KAPPA:g}"] = (
            self.target.examples["DDN, native"],
            spread(torch.cat(confident)),
        )
        return crafted


def audit(
    subject: Design | Mapping[str, Design] | nn.Module,
    exact: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    settings: AuditSettings | None = None,
    layers: str = "conv",
    backward: str = "ste",
    mode: str = "auto",
    surrogates: Mapping[str, nn.Module] | None = None,
    name: str | None = None,
    reference: Reference | None = None,
    progress: bool = False,
) -> AuditReport:
    """Whether `subject` resists attacks better than the network `exact`, and whether that can be believed.

    `subject`: a design (then it is `exact` with its `layers` through the design, `backward` being its native gradient),
    a design a layer, or any network with the same inputs and classes; `surrogates`: for a network, further networks to
    differentiate through while the values are the subject's. `images`: float32 [N, C, H, W] in [0, 1] with true
    `labels`, int64 [N]. `mode` of designs: "gate", "lowered", or "auto": lowered while attacking where the design
    allows. Success always counts by the gate-exact network. `reference`: made by `Reference(exact, images, labels,
    settings)`, saves attacking the exact network again for each subject.

    Seeded and deterministic; the networks are left as they were. Raises ValueError for what does not fit, where no
    image is classified rightly by both, and where pixels leave [0, 1]; MissingExtraError without Foolbox or
    pyautoattack.
    """
    begun = time.monotonic()
    adaptive_attacks.require_libraries()
    settings = (settings or AuditSettings()).with_budget(images.shape[1:])
    if reference is None:
        reference = Reference(exact, images, labels, settings)
    elif reference.settings != settings or not torch.equal(reference.images, images):
        raise ValueError("a reference must be made with the same images and settings, but is not; make another.")
    contestant = _contestant(subject, reference, layers=layers, backward=backward, mode=mode, surrogates=surrogates)
    networks = [reference.exact, *contestant.networks()]
    with Meter(enabled=progress) as meter, meter.watch(networks, len(images)), evaluation_mode(*networks):
        return _Audit(contestant, reference, meter).report(name or contestant.name, begun)


def _contestant(
    subject: Design | Mapping[str, Design] | nn.Module, reference: Reference, *, surrogates: Any, **how: Any
) -> Contestant:
    """The subject as it is attacked; its logarithm where its outputs are probabilities."""
    if not isinstance(subject, nn.Module):
        if surrogates:
            raise ValueError("surrogates must be left out for a design, but are given; its gradients are known.")
        return design_contestant(reference.exact, subject, **how)
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
        made = approximate_contestant(subject, name=name, mode=how["mode"])
        return made.logarithm() if probabilities else made
    network = Logarithm(subject) if probabilities else subject
    made = module_contestant(network, name=name, borrowed=reference.exact, surrogates=surrogates)
    return replace(made, probabilities=probabilities)


class _Audit:
    """One audit of `contestant` beside `reference`."""

    def __init__(self, contestant: Contestant, reference: Reference, meter: Meter) -> None:
        self.reference = reference
        self.settings = reference.settings
        self.meter = meter
        self.exact = reference.target
        self.target = Target(contestant, reference.images, reference.labels, self.settings)
        self.eligible = self.target.right & self.exact.right
        _require_eligible(contestant.name, self.target.right, self.exact.right)
        self.fooled_exact = torch.zeros_like(self.eligible)
        """Which images anything has fooled in the exact network, the subject's examples included."""
        self.exchanged: set[tuple[bool, str]] = set()
        """Examples tried on the other network already: (whether they are the exact network's, their key)."""

    def report(self, name: str, begun: float) -> AuditReport:
        """Attacks, asks, sums up."""
        contestant, target, settings = self.target.contestant, self.target, self.settings
        self.meter.plan(_planned_calls(settings, self.reference, len(contestant.gradients)))
        self.reference.attack(self.meter)
        questions = Questions(target, self.exact, self.meter)
        questions.outputs()
        temperature = questions.scale()
        raw: dict[str, nn.Module] = {key: Attached(network) for key, network in contestant.gradients.items()}
        questions.gradients(raw)

        native, native_label = raw[contestant.native], _native_label(contestant)
        scaled = {key: network if temperature == 1 else Scaled(network, temperature) for key, network in raw.items()}
        suffix = "" if temperature == 1 else f", logits / {temperature:.3g}"
        labels = {key: (native_label if key == contestant.native else key) + suffix for key in scaled}
        battery = Battery(target, self.reference.classes, self.meter)
        battery.single(native_label, native)
        battery.pgd(native_label, native)
        for key, network in scaled.items():
            if labels[key] != native_label:
                battery.pgd(labels[key], network)
        # Where two are equally strong, the first, which is the native one.
        best = max(scaled, key=lambda key: questions.count(f"PGD, {labels[key]}"))
        best_label, best_network = labels[best], scaled[best]
        battery.apgd(native_label, native)
        if best_label != native_label:
            battery.single(best_label, best_network)
            battery.apgd(best_label, best_network)
        battery.minimum(best_label, best_network)
        by_gradient = target.any_fooled()
        battery.gradient_free(contestant.value)
        self._exchange()
        left = len(target.unfooled)
        doubled = battery.doubled(best_label, best_network)
        asked = self.eligible.nonzero()[: settings.decision_images, 0]
        decisions = battery.decision(contestant.value, asked)
        self._exchange()

        questions.single_against_iterative((native_label, best_label))
        questions.monotone(best_label, best_network)
        questions.unbounded(native_label, native, best_label, best_network)
        questions.best_iterate((native_label, best_label))
        questions.doubling(doubled, left)
        questions.image_by_image(by_gradient)
        questions.noise()
        questions.minimum_norm()
        if len(asked):
            questions.decision_based(asked, decisions)
        questions.confirmed()

        robust, robust_exact = target.right & ~target.any_fooled(), self.exact.right & ~self.fooled_exact
        return AuditReport(
            subject=name,
            mode=contestant.mode,
            images=len(target.labels),
            eligible=int(self.eligible.sum()),
            right=int(target.right.sum()),
            right_exact=int(self.exact.right.sum()),
            checks=tuple(questions.checks),
            attacks=tuple(self._results(native_label)),
            transfers=tuple(self._transfers()),
            robust=int(robust.sum()),
            robust_exact=int(robust_exact.sum()),
            gained=int((robust & ~robust_exact).sum()),
            lost=int((robust_exact & ~robust).sum()),
            native=questions.count(*(f"{kind}, {native_label}" for kind in _ITERATIVE)),
            surrogate=questions.count(*(f"{kind}, {best_label}" for kind in _ITERATIVE)),
            gradient_free=questions.count("Square"),
            seconds=round(time.monotonic() - begun, 1),
            settings={
                **asdict(settings),
                "epsilon": settings.budget,
                "native_gradient": contestant.native,
                "best_gradient": best,
                "temperature": temperature,
            },
        )

    def _exchange(self) -> None:
        """Every example of either network counts against the other."""
        everything = torch.arange(len(self.eligible))
        self.fooled_exact |= self.exact.any_fooled()
        for source, victim in ((self.exact, self.target), (self.target, self.exact)):
            for key, examples in list(source.examples.items()):
                mark = source is self.exact, key
                if key.startswith(TRANSFERRED) or mark in self.exchanged:
                    continue
                self.exchanged.add(mark)
                if victim is self.target:
                    victim.record(TRANSFERRED + key, everything, examples)
                else:
                    self.fooled_exact |= victim.judged(everything, examples)

    def _transfers(self) -> list[TransferPair]:
        labels, judge, exact = self.reference.labels, self.target.contestant.judge, self.exact.contestant.judge
        pairs = []
        for name, both in self.reference.crafted.items():
            mine = [predict(judge, examples) for examples in both]
            theirs = [predict(exact, examples) for examples in both]
            crafted = [self.eligible & (found != labels) for found in theirs]
            fooled = [made & (found != labels) for made, found in zip(crafted, mine, strict=True)]
            same = fooled[0] & (mine[0] == theirs[0])
            pairs.append(
                TransferPair(
                    name,
                    minimum=int(fooled[0].sum()),
                    minimum_crafted=int(crafted[0].sum()),
                    margin=int(fooled[1].sum()),
                    margin_crafted=int(crafted[1].sum()),
                    destinations={
                        "same class": int(same.sum()),
                        "other class": int((fooled[0] & ~same).sum()),
                        "not fooled": int((crafted[0] & ~fooled[0]).sum()),
                    },
                )
            )
        return pairs

    def _results(self, native_label: str) -> list[AttackResult]:
        count = int(self.eligible.sum())
        results = []
        for key, mask in self.target.fooled.items():
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


def check_eligible(
    subject: Design | Mapping[str, Design], reference: Reference, *, layers: str = "conv", backward: str = "ste"
) -> None:
    """Raises ValueError, as `audit` would, where no image is classified rightly by both networks. One forward pass."""
    contestant = design_contestant(reference.exact, subject, layers=layers, backward=backward, mode="gate")
    right = predict(contestant.judge, reference.images) == reference.labels
    _require_eligible(contestant.name, right, reference.target.right)


def _require_eligible(name: str, right: torch.Tensor, right_exact: torch.Tensor) -> None:
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
    """The exact network's attack that a subject's stands beside: the same through its own gradient."""
    if not gradient:
        return name
    return f"{name}, doubled, native" if gradient.startswith("doubled, ") else f"{name}, native"


def _native_label(contestant: Contestant) -> str:
    return "native" if contestant.native == "native" else f"{contestant.native}, native"


def _crafting_calls(settings: AuditSettings) -> float:
    return 100 + settings.minimum_steps


def _planned_calls(settings: AuditSettings, reference: Reference, gradients: int) -> float:
    """Calls of a network with all images, about: what the bar expects."""
    aims = min(9, reference.classes - 1)
    strong = settings.steps + settings.apgd_steps * (1 + aims)
    shared = settings.queries / 3 + settings.minimum_steps + settings.deepfool_steps * aims + 4 * settings.steps
    decisions = 40_000 * settings.decision_images / len(reference.images)
    questions = settings.steps * 6
    exact = 0 if reference.attacked else strong + shared + _crafting_calls(settings)
    return exact + strong * 2 + settings.steps * gradients + shared + decisions + questions
