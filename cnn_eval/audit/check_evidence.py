"""What the checks of an audit look at: the logs of both networks, and what was measured beside the attacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cnn_eval.attacks.shared.primitives import input_gradient
from cnn_eval.audit import adaptive_attacks
from cnn_eval.audit.attack_log import AttackLog
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.victim import Victim
from cnn_eval.audit.wrapped_networks import Attached
from cnn_eval.models.inference import logits

TOLERANCE = 0.02
"""Share of images by which sampled success rates may differ where the theory says none; one image at least."""
SCALE = 2.0
"""Ratio of the logit scales, or its inverse, from which on the logits are attacked divided by it (Gupta, Ajanthan)."""


@dataclass(frozen=True)
class GradientSample:
    """The subject's gradients by one way to differentiate it, at the M eligible images, float32 [M, C, H, W].

    `margin`, `cross_entropy`: of the logit margin and of the cross-entropy; `exact`: of the exact network's margin.
    """

    label: str
    margin: torch.Tensor
    cross_entropy: torch.Tensor
    exact: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the checks of one audit look at.

    `subject`, `exact`: the logs after all attacks. `logit_ratio`: see `logit_scale_ratio`. `gradients`: one sample for
    each gradient of the subject. `attackers`: label -> network that the iterative attacks ran on, the native one first,
    the strongest last; they are one where the native gradient is the strongest. `by_gradient`: which images gradient
    attacks fooled, bool [N]. `doubled`: which images PGD fooled with twice the effort, bool [N], of the `unfooled` that
    were left. `decision_images`: indices [K] that HopSkipJump was run on; `decision_norms`: its L2 norms, float32 [K].
    """

    subject: AttackLog
    exact: AttackLog
    meter: Meter
    logit_ratio: float
    gradients: Sequence[GradientSample]
    attackers: Mapping[str, nn.Module]
    by_gradient: torch.Tensor
    doubled: torch.Tensor
    unfooled: int
    decision_images: torch.Tensor
    decision_norms: torch.Tensor

    @property
    def settings(self) -> AuditSettings:
        """The settings of the audit."""
        return self.subject.settings

    @property
    def eligible(self) -> torch.Tensor:
        """The images that both networks classify correctly, bool [N]."""
        return self.subject.right & self.exact.right

    @property
    def strongest(self) -> tuple[str, nn.Module]:
        """Label and network of the strongest gradient."""
        return list(self.attackers.items())[-1]

    @property
    def tolerance(self) -> int:
        """Number of eligible images by which sampled rates may differ."""
        return tolerated(int(self.eligible.sum()))

    def count(self, *keys: str) -> int:
        """Number of eligible images that any of the subject's attacks `keys` fooled."""
        return count_fooled(self.subject, self.eligible, *keys)

    def share(self, count: int) -> str:
        """`count` eligible images as a percentage."""
        return percentage(count, int(self.eligible.sum()))

    def pgd_successes(self, network: nn.Module, epsilon: float) -> int:
        """Number of eligible images that PGD through `network` fools with another budget."""
        log, settings = self.subject, self.settings
        chosen = log.chosen
        with self.meter.stage(f"{log.victim.name}: PGD at {epsilon:.3g}", settings.steps):
            iterates = adaptive_attacks.pgd(
                network,
                log.images[chosen],
                log.labels[chosen],
                norm=settings.norm,
                epsilon=epsilon,
                steps=settings.steps,
                seed=settings.seed,
            )
        return int((log.judged(chosen, iterates.best, epsilon) & self.eligible).sum())


def count_fooled(log: AttackLog, eligible: torch.Tensor, *keys: str) -> int:
    """Number of `eligible` images, bool [N], that any of the attacks `keys` fooled; at least one of them was run."""
    masks = [log.fooled[key] for key in keys if key in log.fooled]
    return int((torch.stack(masks).any(0) & eligible).sum())


def tolerated(images: int) -> int:
    """TOLERANCE of a number of images, at least one image."""
    return max(1, math.ceil(TOLERANCE * images))


def percentage(count: int, total: int) -> str:
    """`count` of `total` in percent, without decimals."""
    return f"{100 * count / total:.0f} %"


def logit_scale_ratio(subject: Victim, exact: Victim, images: torch.Tensor) -> float:
    """The median spread of the subject's logits over the exact network's; 1 where one of them is zero."""
    # The spread over the classes, because a constant added to all logits of an image changes nothing. The median,
    # because single images may have logits out of all proportion.
    subject_scale, exact_scale = (float(logits(victim.judge, images).std(1).median()) for victim in (subject, exact))
    if subject_scale > 0 and exact_scale > 0 and math.isfinite(subject_scale / exact_scale):
        return subject_scale / exact_scale
    return 1.0


def is_same_scale(ratio: float) -> bool:
    """Whether logits of this ratio of scales are attacked as they are."""
    return 1 / SCALE <= ratio <= SCALE


def sample_gradients(
    log: AttackLog, exact: Victim, networks: Mapping[str, nn.Module], eligible: torch.Tensor
) -> list[GradientSample]:
    """The gradients of `networks`, by name, and of the exact network at the `eligible` images, bool [N]."""
    images, labels = log.images[eligible], log.labels[eligible]
    exact_gradient = _gradients(Attached(exact.judge), images, labels, "margin")
    native = log.victim.native
    return [
        GradientSample(
            label=log.victim.native_label if name == native else name,
            margin=_gradients(network, images, labels, "margin"),
            cross_entropy=_gradients(network, images, labels, "ce"),
            exact=exact_gradient,
        )
        for name, network in networks.items()
    ]


def _gradients(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, loss: str) -> torch.Tensor:
    return torch.cat([input_gradient(network, x, y, loss=loss) for x, y in adaptive_attacks.batches(images, labels)])
