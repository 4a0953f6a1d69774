"""Which images a network still classifies rightly under attack, with a design and without; and what a test can see."""

from __future__ import annotations

import copy
import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits import design
from circuits.support.statistics import mcnemar
from cnn_eval.audit import adaptive_attacks
from cnn_eval.audit.attack_log import AttackLog
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.victim import module_victim
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.robustness import AdaptiveAttack, adaptive_robustness, available_gradients
from cnn_eval.measure.subject_networks import QuantizeSettings, SubjectNetworks
from dse.space.per_layer import Candidate, designs_of, for_network
from studies.rows.further_victims import training_images

Bits = NDArray[np.bool_]
_CLASSES = 10


@lru_cache(maxsize=16)
def _networks(model: str, integer: bool) -> SubjectNetworks:
    quantization = QuantizeSettings() if integer else None
    return SubjectNetworks(model, quantization=quantization, images=training_images(model) if integer else None)


def exact_for(candidate: Candidate, model: str) -> nn.Module:
    """The network that `candidate` approximates: the float one, or the one quantised for its integers."""
    integer = all(each.float_format is None for each in designs_of(candidate).values())
    return _networks(model, integer).exact(for_network(candidate))


def searched(
    candidate: Candidate | None, model: str, images: torch.Tensor, labels: torch.Tensor, attack: AdaptiveAttack
) -> Bits:
    """Which images stay right under PGD through every gradient of the design; None: in the exact float network."""
    one = design("exact") if candidate is None else candidate
    network, data = exact_for(one, model), (images, labels)
    return adaptive_robustness(for_network(one), attack, model=network, samples=len(images), data=data).robust


def audited(
    candidate: Candidate | None, model: str, images: torch.Tensor, labels: torch.Tensor, settings: AuditSettings
) -> Bits:
    """Which images stay right under APGD-CE and APGD-T through every gradient, and Square; None: the exact network."""
    victims = _victims(candidate, model)
    log = AttackLog(module_victim(victims[0], name="victim"), images, labels, settings)
    ball = {"norm": settings.norm, "epsilon": settings.budget}
    for number, victim in enumerate(victims):
        for targeted in (False, True):
            chosen = log.unfooled
            adversarial = adaptive_attacks.apgd(
                victim,
                images[chosen],
                labels[chosen],
                targeted=targeted,
                classes=_CLASSES,
                steps=settings.apgd_steps,
                seed=settings.seed,
                **ball,  # type: ignore[arg-type]
            )
            log.record(f"APGD, gradient {number}, targeted {targeted}", chosen, adversarial)
    chosen = log.unfooled
    adversarial = adaptive_attacks.square(
        victims[0],
        images[chosen],
        labels[chosen],
        queries=settings.queries,
        seed=settings.seed,
        **ball,  # type: ignore[arg-type]
    )
    log.record("Square", chosen, adversarial)
    robust: Bits = (log.right & ~log.any_fooled()).numpy()
    return robust


def _victims(candidate: Candidate | None, model: str) -> list[nn.Module]:
    """The same bit-accurate network once for each gradient that its design has."""
    if candidate is None:
        return [copy.deepcopy(_networks(model, False).base).requires_grad_(False).eval()]
    subject, network = for_network(candidate), exact_for(candidate, model)
    return [
        approximate(network, subject, backward=backward).requires_grad_(False).eval()
        for backward in available_gradients(subject)
    ]


# ---- what a test can see


def smallest_visible_gain(images: int, differing: float, level: float, power: float = 0.8) -> float:
    """The smallest gain, in percentage points, that McNemar's test at `level` finds with probability `power`.

    `differing`: the share of the images on which the two networks differ, d = round(differing * images) of them. With a
    gain of g = 100 (gained - lost) / images, each of the d is gained with probability (1 + g images / (100 d)) / 2.
    Infinity where not even d gained images of d would do.
    """
    pairs = round(differing * images)
    rejects = [k for k in range(pairs + 1) if 2 * k > pairs and mcnemar(k, pairs - k) < level]
    if not rejects:
        return math.inf
    # The probability of rejection grows with the gain: bisection over the share that is gained, from 1/2 to 1.
    low, high = 0.5, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if _tail(pairs, middle, rejects[0]) >= power:
            high = middle
        else:
            low = middle
    return 100 * (2 * high - 1) * pairs / images


def _tail(pairs: int, share: float, least: int) -> float:
    """The probability of at least `least` successes in `pairs` trials, each with probability `share` in (0, 1)."""
    return math.fsum(math.comb(pairs, k) * share**k * (1 - share) ** (pairs - k) for k in range(least, pairs + 1))
