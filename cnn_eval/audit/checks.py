"""The questions of an audit: each gives a check with what was found, its threshold and why it matters.

Thresholds: AutoAttack's own checks (Croce, Hein, ICML 2020), Pintor et al., "Indicators of Attack Failure", NeurIPS
2022, and Carlini et al., "On Evaluating Adversarial Robustness", arXiv 1902.06705.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from cnn_eval.audit import adaptive_attacks
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_report import Check
from cnn_eval.audit.target import MINIMUM_NORM, TRANSFERRED, Target
from cnn_eval.audit.wrapped_networks import Attached, input_gradient
from cnn_eval.models.inference import logits

REPEATS = 5
SAME_LOGITS = 1e-4
"""Largest distance of two forwards' logits, divided by their length (AutoAttack's check for randomised networks)."""
SCALE = 2.0
"""Ratio of the logit scales, or its inverse, from which on the logits are attacked divided by it."""
TOLERANCE = 0.02
"""Share of images by which sampled success rates may differ where the theory says none; one image at least."""
DEEPFOOL_FACTOR = 1.5
"""DeepFool's median perturbation over DDN's from which on DeepFool itself fails; 1.1 is usual (1.44 / 1.31 on a probe
LeNet, FACTS 7)."""
HOPSKIPJUMP_FACTOR = 1.05
"""An image counts as nearer by HopSkipJump where the gradient attacks' norm is larger by more than this."""
FEW = 50
"""Eligible images below which rates say little."""
BUDGET_FACTORS = (0.25, 0.5, 1.0, 2.0)


class Questions:
    """Asks about `target`, attacked, beside the exact network `exact`; `checks` are the answers so far."""

    def __init__(self, target: Target, exact: Target, meter: Meter) -> None:
        self.target = target
        self.exact = exact
        self.meter = meter
        self.settings = target.settings
        self.eligible = target.right & exact.right
        self.checks: list[Check] = []

    def count(self, *keys: str) -> int:
        """Eligible images that any of the subject's attacks `keys` fooled."""
        masks = [self.target.fooled[key] for key in keys if key in self.target.fooled]
        return int((torch.stack(masks).any(0) & self.eligible).sum())

    # ---- before the attacks

    def outputs(self) -> None:
        """Determinism, logits, and how many images there are."""
        contestant, images = self.target.contestant, self.target.images
        runs = [logits(contestant.judge, images) for _ in range(REPEATS)]
        length = runs[0].norm(dim=1).clamp_min(1e-10)
        worst = max(float(((run - runs[0]).norm(dim=1) / length).max()) for run in runs)
        self._check(
            "repeated forwards",
            worst < SAME_LOGITS,
            f"logits of {REPEATS} forwards differ by {worst:.1g} of their length",
            f"< {SAME_LOGITS:g}",
            "a random network needs attacks that average over its randomness; these do not",
            difference=worst,
        )
        self._check(
            "logits",
            not contestant.probabilities,
            "outputs are probabilities; their logarithm was attacked" if contestant.probabilities else "no softmax",
            "logits",
            "a softmax in float32 saturates, and with it the gradient",
        )
        count = int(self.eligible.sum())
        self._check(
            "images",
            count >= FEW,
            f"both networks are right on {count} of {len(images)}; the subject on {int(self.target.right.sum())}, the "
            f"exact network on {int(self.exact.right.sum())}",
            f">= {FEW} to attack",
            "rates over few images say little; only images that both classify rightly are compared",
            eligible=count,
        )

    def scale(self) -> float:
        """The temperature to attack with."""
        mine, theirs = (
            float(logits(net, self.target.images[self.eligible]).std(1).median())
            for net in (self.target.contestant.judge, self.exact.contestant.judge)
        )
        ratio = mine / theirs if theirs > 0 and mine > 0 and math.isfinite(mine / theirs) else 1.0
        same = 1 / SCALE <= ratio <= SCALE
        self._check(
            "logit scale",
            same,
            f"{ratio:.3g} times the exact network's"
            + ("" if same else f"; surrogate attacks divide the logits by {ratio:.3g}"),
            f"{1 / SCALE:g} .. {SCALE:g} times",
            "large logits saturate the cross-entropy, small ones flatten it: either weakens attacks, not the network",
            ratio=ratio,
        )
        return 1.0 if same else ratio

    def gradients(self, networks: Mapping[str, nn.Module]) -> None:
        """Vanishing gradients and agreement with the exact network's, for each gradient by name."""
        images, labels = self.target.images[self.eligible], self.target.labels[self.eligible]
        exact = _gradients(Attached(self.exact.contestant.judge), images, labels, "margin")
        native = self.target.contestant.native
        for key, network in networks.items():
            margins = _gradients(network, images, labels, "margin")
            lost = int(_vanishing(margins).sum())
            saturated = int(_vanishing(_gradients(network, images, labels, "ce")).sum())
            title = f"{key}, native" if key == native != "native" else key
            self._check(
                f"zero gradients, {title}",
                lost + saturated == 0,
                f"{_share(lost, len(images))} of images by the logit margin, {_share(saturated, len(images))} by the "
                "cross-entropy",
                "none",
                "where the gradient vanishes, gradient attacks stand still, which looks like robustness",
                margin=lost / len(images),
                cross_entropy=saturated / len(images),
            )
            cosine = functional.cosine_similarity(margins.flatten(1), exact.flatten(1))
            self._check(
                f"gradient agreement, {title}",
                None,
                f"cosine with the exact network's {float(cosine.median()):.2f} (median), {float(cosine.min()):.2f} .. "
                f"{float(cosine.max()):.2f}",
                "",
                "near 1: the exact network's attacker is the subject's; far below: look at the surrogates' success",
                median=float(cosine.median()),
            )

    # ---- about the attacks

    def single_against_iterative(self, labels: tuple[str, str]) -> None:
        """FGSM beside PGD."""
        single = "FGSM" if self.settings.norm == "linf" else "single step"
        for label in dict.fromkeys(labels):
            one, many = self.count(f"{single}, {label}"), self.count(f"PGD, {label}")
            self._check(
                f"single step and iterative, {label}",
                many >= one,
                f"{self._of(one)} and {self._of(many)}",
                "iterative at least as strong",
                "an iterative attack that loses to one step is misled by its gradients",
                single=one,
                iterative=many,
            )

    def monotone(self, label: str, network: nn.Module) -> None:
        """PGD at smaller and larger budgets."""
        rates = [int(self._at(network, factor * self.settings.budget).sum()) for factor in BUDGET_FACTORS]
        falls = max((a - b for a, b in pairwise(rates)), default=0)
        allowed = self._tolerance()
        shown = ", ".join(
            f"{factor * self.settings.budget:.3g}: {self._of(count)}"
            for factor, count in zip(BUDGET_FACTORS, rates, strict=True)
        )
        self._check(
            f"success by budget, {label}",
            falls <= allowed,
            shown,
            f"no fall by more than {_images(allowed)}",
            "a larger budget holds every smaller one",
            fooled=rates,
        )

    def unbounded(self, native_label: str, native: nn.Module, best_label: str, best: nn.Module) -> None:
        """PGD with a budget that reaches every image."""
        whole = 1.0 if self.settings.norm == "linf" else math.sqrt(self.target.images[0].numel())
        for label, network in {native_label: native, best_label: best}.items():
            count = int(self._at(network, whole).sum())
            self._check(
                f"unbounded budget, {label}",
                count == int(self.eligible.sum()),
                f"{self._of(count)} at {self.settings.norm} {whole:g}",
                "all",
                "any image can become any other: an attack that then fails is broken",
                fooled=count,
            )

    def best_iterate(self, labels: tuple[str, str]) -> None:
        """PGD's last iterate beside the best one."""
        for label in dict.fromkeys(labels):
            last = int((self.target.last[label] & self.eligible).sum())
            kept = self.count(f"PGD, {label}")
            self._check(
                f"best iterate, {label}",
                kept >= last,
                f"last iterate {self._of(last)}, best {self._of(kept)}",
                "the best counts",
                "an attack that returns its last iterate forgets what it has found",
                last=last,
                best=kept,
            )

    def doubling(self, doubled: torch.Tensor, left: int) -> None:
        """What more steps and restarts add, bool [N], to the attacks that `left` so many images unfooled."""
        more, allowed = int((doubled & self.eligible).sum()), self._tolerance()
        self._check(
            "steps and restarts doubled",
            more <= allowed,
            f"{_images(more)} more (they count as fooled)" if left else "no image was left to try them on",
            f"at most {allowed}",
            "an attack that still gains has not converged, and neither has the robust accuracy",
            more=more,
        )

    def image_by_image(self, by_gradient: torch.Tensor) -> None:
        """What fools images that gradients (bool [N]) do not."""
        target = self.target
        groups = {
            "Square": ["Square"],
            "HopSkipJump": ["HopSkipJump"],
            "transfer": [key for key in target.fooled if key.startswith(TRANSFERRED)],
            "random noise": ["random noise"],
        }
        found = {}
        for group, keys in groups.items():
            masks = [target.fooled[key] for key in keys if key in target.fooled]
            if masks:
                found[group] = int((torch.stack(masks).any(0) & ~by_gradient & self.eligible).sum())
        missed, allowed = max(found.values()), self._tolerance()
        self._check(
            "white-box strongest, image by image",
            missed <= allowed,
            "fooled by others only: " + ", ".join(f"{group} {count}" for group, count in found.items()),
            f"at most {allowed} each",
            "who knows the network cannot do worse than who does not; the worst case counts them all",
            **found,
        )

    def noise(self) -> None:
        """Random noise."""
        mine, theirs = (
            int((target.fooled["random noise"] & self.eligible).sum()) for target in (self.target, self.exact)
        )
        self._check(
            "random noise",
            None,
            f"{self._of(mine)} in {self.settings.noise_draws} draws, exact network {self._of(theirs)}",
            "",
            "what noise alone breaks is no adversarial strength",
            subject=mine,
            exact=theirs,
        )

    def minimum_norm(self) -> None:
        """DDN and DeepFool beside the exact network's, and beside each other."""
        medians = {}
        for name, found in self.target.sizes.items():
            mine, theirs = (float(size[self.eligible].median()) for size in (found, self.exact.sizes[name]))
            medians[name] = mine
            self._check(
                f"minimum L2 by {MINIMUM_NORM[name]}",
                None,
                f"median {_length(mine)}, exact network {_length(theirs)}",
                "",
                "how far the nearest adversarial image lies",
                subject=mine if math.isfinite(mine) else None,
                exact=theirs if math.isfinite(theirs) else None,
            )
        if math.isfinite(medians["ddn"]):
            ratio = medians["deepfool"] / medians["ddn"]
            self._check(
                "DeepFool against DDN",
                ratio <= DEEPFOOL_FACTOR,
                f"DeepFool's median is {ratio:.2f} times DDN's" if math.isfinite(ratio) else "DeepFool fails on half",
                f"<= {DEEPFOOL_FACTOR:g} times",
                "where DeepFool alone needs more noise, DeepFool fails, and the network resists nothing",
                ratio=ratio if math.isfinite(ratio) else None,
            )

    def decision_based(self, asked: torch.Tensor, found: torch.Tensor) -> None:
        """HopSkipJump's norms `found` on the images `asked` beside the gradient attacks'."""
        nearest = torch.stack(list(self.target.sizes.values())).amin(0)[asked]
        smaller = int((found * HOPSKIPJUMP_FACTOR < nearest).sum())
        allowed = max(1, math.ceil(TOLERANCE * len(asked)))
        self._check(
            "HopSkipJump against DDN and DeepFool",
            smaller <= allowed,
            f"median {_length(float(found.median()))} and {_length(float(nearest.median()))} on {len(asked)} images; "
            f"HopSkipJump nearer on {smaller}",
            f"nearer on at most {allowed}",
            "decisions alone cannot show the nearest adversarial image better than gradients do",
            hopskipjump=[float(size) if math.isfinite(size) else None for size in found.tolist()],
            gradient=[float(size) if math.isfinite(size) else None for size in nearest.tolist()],
        )

    def confirmed(self) -> None:
        """What the gate-exact network did not confirm."""
        target = self.target
        if target.contestant.mode == "lowered":
            self._check(
                "gate-exact confirmation",
                None,
                f"{target.unconfirmed} adversarial images of all attacks fooled the lowered network only and do not "
                "count",
                "",
                "attacks ran on lowered products; success is what the gate-exact network says",
                unconfirmed=target.unconfirmed,
            )

    # ---- what these share

    def _at(self, network: nn.Module, epsilon: float) -> torch.Tensor:
        """Which eligible images PGD fools with another budget, bool [N]."""
        target, settings = self.target, self.settings
        chosen = target.chosen
        with self.meter.stage(f"{target.contestant.name}: PGD at {epsilon:.3g}", settings.steps):
            found = adaptive_attacks.pgd(
                network,
                target.images[chosen],
                target.labels[chosen],
                norm=settings.norm,
                epsilon=epsilon,
                steps=settings.steps,
                seed=settings.seed,
            )
        return target.judged(chosen, found.best, epsilon) & self.eligible

    def _check(self, name: str, passed: bool | None, found: str, threshold: str, why: str, **values: Any) -> None:
        self.checks.append(Check(name, passed, found, threshold, why, values))

    def _tolerance(self) -> int:
        return max(1, math.ceil(TOLERANCE * int(self.eligible.sum())))

    def _of(self, count: int) -> str:
        return _share(count, int(self.eligible.sum()))


def _gradients(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, loss: str) -> torch.Tensor:
    return torch.cat([input_gradient(network, x, y, loss=loss) for x, y in adaptive_attacks.batches(images, labels)])


def _vanishing(gradients: torch.Tensor) -> torch.Tensor:
    return (gradients == 0).flatten(1).all(1)


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.0f} %"


def _images(count: int) -> str:
    return f"{count} image" + "s" * (count != 1)


def _length(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "out of reach"
