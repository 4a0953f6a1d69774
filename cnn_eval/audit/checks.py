"""The checks of an audit, one record each: name, threshold, why the answer matters, and how it is measured.

The records stand in three lists at the end of this file; a new check is a function and a record. Thresholds:
AutoAttack's own checks (Croce, Hein, ICML 2020), Pintor et al., "Indicators of Attack Failure", NeurIPS 2022, and
Carlini et al., "On Evaluating Adversarial Robustness", arXiv 1902.06705.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Generic, TypeVar

import torch
from torch.nn import functional

from cnn_eval.audit.attack_battery import MINIMUM_NORM
from cnn_eval.audit.attack_log import TRANSFERRED
from cnn_eval.audit.audit_report import Check
from cnn_eval.audit.check_evidence import SCALE, Evidence, GradientSample, is_same_scale, percentage, tolerated
from cnn_eval.models.inference import logits

REPEATS = 5
SAME_LOGITS = 1e-4
"""Largest distance of two forwards' logits, divided by their length (AutoAttack's check for randomised networks)."""
DEEPFOOL_FACTOR = 1.5
"""DeepFool's median perturbation over DDN's from which on DeepFool itself fails; 1.1 is usual (1.44 / 1.31 on a probe
LeNet, FACTS 7)."""
HOPSKIPJUMP_FACTOR = 1.05
"""An image counts as nearer by HopSkipJump where the gradient attacks' norm is larger by more than this."""
FEW = 50
"""Number of eligible images below which rates say little."""
BUDGET_FACTORS = (0.25, 0.5, 1.0, 2.0)

Source = TypeVar("Source", Evidence, GradientSample)


@dataclass(frozen=True)
class Measured:
    """One answer: `found` in words and `values` in numbers; `passed`: None where there is no threshold.

    `about`: which attack or gradient the answer is about, where a check gives several; `threshold`: where it depends on
    the number of images.
    """

    found: str
    passed: bool | None = None
    about: str = ""
    threshold: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditCheck(Generic[Source]):
    """`why`: why the answer matters; `evaluate` gives no answer where the check does not apply."""

    name: str
    threshold: str
    why: str
    evaluate: Callable[[Source], Iterator[Measured]]

    def results(self, source: Source) -> list[Check]:
        """The check's answers for the report."""
        return [
            Check(
                f"{self.name}, {answer.about}" if answer.about else self.name,
                answer.passed,
                answer.found,
                answer.threshold or self.threshold,
                self.why,
                answer.values,
            )
            for answer in self.evaluate(source)
        ]


def evaluate_checks(evidence: Evidence) -> tuple[Check, ...]:
    """The results of all checks, in the order of the report."""
    results = [result for check in NETWORK_CHECKS for result in check.results(evidence)]
    results += [r for sample in evidence.gradients for check in GRADIENT_CHECKS for r in check.results(sample)]
    results += [result for check in ATTACK_CHECKS for result in check.results(evidence)]
    return tuple(results)


# ---- of the networks


def _repeated_forwards(evidence: Evidence) -> Iterator[Measured]:
    """Largest |Z_k - Z_0| / |Z_0| over images and forwards k."""
    runs = [logits(evidence.subject.victim.judge, evidence.subject.images) for _ in range(REPEATS)]
    # Relative, because the scale of logits is a network's own affair.
    length = runs[0].norm(dim=1).clamp_min(1e-10)
    worst = max(float(((run - runs[0]).norm(dim=1) / length).max()) for run in runs)
    yield Measured(
        f"logits of {REPEATS} forwards differ by {worst:.1g} of their length",
        worst < SAME_LOGITS,
        values={"difference": worst},
    )


def _no_probabilities(evidence: Evidence) -> Iterator[Measured]:
    probabilities = evidence.subject.victim.probabilities
    yield Measured(
        "outputs are probabilities; their logarithm was attacked" if probabilities else "no softmax", not probabilities
    )


def _enough_images(evidence: Evidence) -> Iterator[Measured]:
    count = int(evidence.eligible.sum())
    yield Measured(
        f"both networks are right on {count} of {len(evidence.eligible)}; the subject on "
        f"{int(evidence.subject.right.sum())}, the exact network on {int(evidence.exact.right.sum())}",
        count >= FEW,
        values={"eligible": count},
    )


def _logit_scale(evidence: Evidence) -> Iterator[Measured]:
    ratio = evidence.logit_ratio
    same = is_same_scale(ratio)
    remedy = "" if same else f"; surrogate attacks divide the logits by {ratio:.3g}"
    yield Measured(f"{ratio:.3g} times the exact network's{remedy}", same, values={"ratio": ratio})


# ---- of one gradient


def _zero_gradients(sample: GradientSample) -> Iterator[Measured]:
    """Images with a gradient of exactly zero, by either loss."""
    vanishing, saturated = (
        int((gradient == 0).flatten(1).all(1).sum()) for gradient in (sample.margin, sample.cross_entropy)
    )
    count = len(sample.margin)
    yield Measured(
        f"{percentage(vanishing, count)} of images by the logit margin, {percentage(saturated, count)} by the "
        "cross-entropy",
        vanishing + saturated == 0,
        about=sample.label,
        values={"margin": vanishing / count, "cross_entropy": saturated / count},
    )


def _gradient_agreement(sample: GradientSample) -> Iterator[Measured]:
    """Cosine of the angle to the exact network's gradient, image by image."""
    # A zero gradient has cosine 0 here: "zero gradients" above counts those.
    cosine = functional.cosine_similarity(sample.margin.flatten(1), sample.exact.flatten(1))
    median = float(cosine.median())
    yield Measured(
        f"cosine with the exact network's {median:.2f} (median), {float(cosine.min()):.2f} .. "
        f"{float(cosine.max()):.2f}",
        about=sample.label,
        values={"median": median},
    )


# ---- of the attacks


def _single_and_iterative(evidence: Evidence) -> Iterator[Measured]:
    """FGSM beside PGD."""
    name = "FGSM" if evidence.settings.norm == "linf" else "single step"
    for label in evidence.attackers:
        single, iterative = evidence.count(f"{name}, {label}"), evidence.count(f"PGD, {label}")
        yield Measured(
            f"{evidence.share(single)} and {evidence.share(iterative)}",
            iterative >= single,
            about=label,
            values={"single": single, "iterative": iterative},
        )


def _success_by_budget(evidence: Evidence) -> Iterator[Measured]:
    """PGD through the strongest gradient at smaller and larger budgets."""
    label, network = evidence.strongest
    budgets = [factor * evidence.settings.budget for factor in BUDGET_FACTORS]
    counts = [evidence.pgd_successes(network, epsilon) for epsilon in budgets]
    # Success must not fall with the budget; sampled starts let it fall by a few images.
    largest_fall = max((before - after for before, after in pairwise(counts)), default=0)
    yield Measured(
        ", ".join(f"{eps:.3g}: {evidence.share(count)}" for eps, count in zip(budgets, counts, strict=True)),
        largest_fall <= evidence.tolerance,
        about=label,
        threshold=f"no fall by more than {_images(evidence.tolerance)}",
        values={"fooled": counts},
    )


def _unbounded_budget(evidence: Evidence) -> Iterator[Measured]:
    """PGD with a budget that reaches every image."""
    norm = evidence.settings.norm
    #   diameter of [0, 1]^D:  1 in linf,  sqrt(D) in l2
    whole = 1.0 if norm == "linf" else math.sqrt(evidence.subject.images[0].numel())
    for label, network in evidence.attackers.items():
        count = evidence.pgd_successes(network, whole)
        yield Measured(
            f"{evidence.share(count)} at {norm} {whole:g}",
            count == int(evidence.eligible.sum()),
            about=label,
            values={"fooled": count},
        )


def _best_iterate(evidence: Evidence) -> Iterator[Measured]:
    """PGD's last iterate beside the best one."""
    for label in evidence.attackers:
        last = int((evidence.subject.last[label] & evidence.eligible).sum())
        best = evidence.count(f"PGD, {label}")
        yield Measured(
            f"last iterate {evidence.share(last)}, best {evidence.share(best)}",
            best >= last,
            about=label,
            values={"last": last, "best": best},
        )


def _doubled_effort(evidence: Evidence) -> Iterator[Measured]:
    # Images that attacks with half the effort had missed: how far the attacks are from having converged.
    more = int((evidence.doubled & evidence.eligible).sum())
    tried = f"{_images(more)} more (they count as fooled)"
    yield Measured(
        tried if evidence.unfooled else "no image was left to try them on",
        more <= evidence.tolerance,
        threshold=f"at most {evidence.tolerance}",
        values={"more": more},
    )


def _white_box_strongest(evidence: Evidence) -> Iterator[Measured]:
    """Images that something else fools and gradient attacks do not."""
    log = evidence.subject
    groups = {
        "Square": ["Square"],
        "HopSkipJump": ["HopSkipJump"],
        "transfer": [key for key in log.fooled if key.startswith(TRANSFERRED)],
        "random noise": ["random noise"],
    }
    missed = {}
    for group, keys in groups.items():
        masks = [log.fooled[key] for key in keys if key in log.fooled]
        if masks:
            # Image by image: equal totals could hide different images.
            missed[group] = int((torch.stack(masks).any(0) & ~evidence.by_gradient & evidence.eligible).sum())
    yield Measured(
        "fooled by others only: " + ", ".join(f"{group} {count}" for group, count in missed.items()),
        max(missed.values()) <= evidence.tolerance,
        threshold=f"at most {evidence.tolerance} each",
        values=missed,
    )


def _random_noise(evidence: Evidence) -> Iterator[Measured]:
    subject, exact = (
        int((log.fooled["random noise"] & evidence.eligible).sum()) for log in (evidence.subject, evidence.exact)
    )
    yield Measured(
        f"{evidence.share(subject)} in {evidence.settings.noise_draws} draws, exact network {evidence.share(exact)}",
        values={"subject": subject, "exact": exact},
    )


def _minimum_norm(evidence: Evidence, *, attack: str) -> Iterator[Measured]:
    """The median L2 norm of the smallest perturbations that `attack` finds, beside the exact network's."""
    subject, exact = (_median_size(log.sizes[attack], evidence) for log in (evidence.subject, evidence.exact))
    yield Measured(
        f"median {_length(subject)}, exact network {_length(exact)}",
        values={"subject": _finite(subject), "exact": _finite(exact)},
    )


def _deepfool_against_ddn(evidence: Evidence) -> Iterator[Measured]:
    deepfool, ddn = (_median_size(evidence.subject.sizes[name], evidence) for name in ("deepfool", "ddn"))
    # Without DDN's median there is nothing to compare with; a ratio to infinity would pass.
    if math.isfinite(ddn):
        ratio = deepfool / ddn
        yield Measured(
            f"DeepFool's median is {ratio:.2f} times DDN's" if math.isfinite(ratio) else "DeepFool fails on half",
            ratio <= DEEPFOOL_FACTOR,
            values={"ratio": _finite(ratio)},
        )


def _decision_based(evidence: Evidence) -> Iterator[Measured]:
    """HopSkipJump's norms beside the smallest that a gradient attack found for the same image."""
    asked, decision_norms = evidence.decision_images, evidence.decision_norms
    if not len(asked):
        return
    # The best gradient attack for each image; infinity where none found anything.
    gradient_norms = torch.stack(list(evidence.subject.sizes.values())).amin(0)[asked]
    nearer = int((decision_norms * HOPSKIPJUMP_FACTOR < gradient_norms).sum())
    allowed = tolerated(len(asked))
    medians = (_length(float(norms.median())) for norms in (decision_norms, gradient_norms))
    yield Measured(
        f"median {' and '.join(medians)} on {len(asked)} images; HopSkipJump nearer on {nearer}",
        nearer <= allowed,
        threshold=f"nearer on at most {allowed}",
        values={
            "hopskipjump": [_finite(norm) for norm in decision_norms.tolist()],
            "gradient": [_finite(norm) for norm in gradient_norms.tolist()],
        },
    )


def _gate_exact_confirmation(evidence: Evidence) -> Iterator[Measured]:
    """Adversarial images that the gate-exact network did not confirm."""
    log = evidence.subject
    if log.victim.compute == "lowered":
        yield Measured(
            f"{log.unconfirmed} adversarial images of all attacks fooled the lowered network only and do not count",
            values={"unconfirmed": log.unconfirmed},
        )


def _median_size(sizes: torch.Tensor, evidence: Evidence) -> float:
    return float(sizes[evidence.eligible].median())


def _images(count: int) -> str:
    return f"{count} image" + "s" * (count != 1)


def _length(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "out of reach"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ---- the lists

NETWORK_CHECKS: tuple[AuditCheck[Evidence], ...] = (
    AuditCheck(
        "repeated forwards",
        f"< {SAME_LOGITS:g}",
        "a random network needs attacks that average over its randomness; these do not",
        _repeated_forwards,
    ),
    AuditCheck("logits", "logits", "a softmax in float32 saturates, and with it the gradient", _no_probabilities),
    AuditCheck(
        "images",
        f">= {FEW} to attack",
        "rates over few images say little; only images that both classify rightly are compared",
        _enough_images,
    ),
    AuditCheck(
        "logit scale",
        f"{1 / SCALE:g} .. {SCALE:g} times",
        "large logits saturate the cross-entropy, small ones flatten it: either weakens attacks, not the network",
        _logit_scale,
    ),
)
"""About the networks as they are."""

GRADIENT_CHECKS: tuple[AuditCheck[GradientSample], ...] = (
    AuditCheck(
        "zero gradients",
        "none",
        "where the gradient vanishes, gradient attacks stand still, which looks like robustness",
        _zero_gradients,
    ),
    AuditCheck(
        "gradient agreement",
        "",
        "near 1: the exact network's attacker is the subject's; far below: look at the surrogates' success",
        _gradient_agreement,
    ),
)
"""About each gradient of the subject."""

ATTACK_CHECKS: tuple[AuditCheck[Evidence], ...] = (
    AuditCheck(
        "single step and iterative",
        "iterative at least as strong",
        "an iterative attack that loses to one step is misled by its gradients",
        _single_and_iterative,
    ),
    AuditCheck("success by budget", "", "a larger budget holds every smaller one", _success_by_budget),
    AuditCheck(
        "unbounded budget",
        "all",
        "any image can become any other: an attack that then fails is broken",
        _unbounded_budget,
    ),
    AuditCheck(
        "best iterate",
        "the best counts",
        "an attack that returns its last iterate forgets what it has found",
        _best_iterate,
    ),
    AuditCheck(
        "steps and restarts doubled",
        "",
        "an attack that still gains has not converged, and neither has the robust accuracy",
        _doubled_effort,
    ),
    AuditCheck(
        "white-box strongest, image by image",
        "",
        "who knows the network cannot do worse than who does not; the worst case counts them all",
        _white_box_strongest,
    ),
    AuditCheck("random noise", "", "what noise alone breaks is no adversarial strength", _random_noise),
    *(
        AuditCheck(
            f"minimum L2 by {shown_name}",
            "",
            "how far the nearest adversarial image lies",
            partial(_minimum_norm, attack=name),
        )
        for name, shown_name in MINIMUM_NORM.items()
    ),
    AuditCheck(
        "DeepFool against DDN",
        f"<= {DEEPFOOL_FACTOR:g} times",
        "where DeepFool alone needs more noise, DeepFool fails, and the network resists nothing",
        _deepfool_against_ddn,
    ),
    AuditCheck(
        "HopSkipJump against DDN and DeepFool",
        "",
        "decisions alone cannot show the nearest adversarial image better than gradients do",
        _decision_based,
    ),
    AuditCheck(
        "gate-exact confirmation",
        "",
        "attacks ran on lowered products; success is what the gate-exact network says",
        _gate_exact_confirmation,
    ),
)
"""About the attacks, after they have run. Those that attack again come before the count of unconfirmed images."""
