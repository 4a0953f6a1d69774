"""What one network of several shows: transfer at several margins, accuracy and confidence, image by image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cnn_eval.attacks.shared.attack_modes import Mode
from cnn_eval.attacks.shared.primitives import scale_perturbation
from cnn_eval.measure.confidence import confidence
from cnn_eval.measure.network_accuracy import load_test_images
from cnn_eval.models.inference import logits, predict
from cnn_eval.scenarios.success import judge
from studies.frame.study import StudyOptions
from studies.rows.attack_rows import PUBLISHED_NAMES, Setting
from studies.rows.over_networks import Bits, Found, changed, shared
from studies.rows.sampled_rows import LOSS

THRESHOLD = 0.8
"""Confidence above which DA counts an image (section 6)."""
CONFIDENT = f"confidence above {THRESHOLD}"
CONFIDENT_MORE = f"{CONFIDENT}, less exact"
SMALLEST = "smallest"
"""The kind of examples just past the decision boundary."""


def transfers(
    attacks: Setting, names: Sequence[str], *, factors: Sequence[float], pairs: Sequence[tuple[str, str]] = ()
) -> Found:
    """Crafts examples on the exact network: the smallest, those with a margin, and those that spend a budget.

    `factors` on the smallest perturbations give them a margin. `pairs` of victims are compared with each other on the
    same examples.
    """
    found: Found = {}
    for key in names:
        published_name = PUBLISHED_NAMES[key]
        task = attacks.task(key, "minimum")
        images, labels = task.images, task.labels
        smallest = task.craft(attacks.base, "the exact network").adversarial
        sets = {SMALLEST: smallest}
        sets |= {f"x {factor:g}": scale_perturbation(images, smallest, factor) for factor in factors}
        if task.attack.norm == "linf":
            mode: Mode = "budget"
            spent = attacks.task(key, mode).craft(attacks.base, "the exact network").adversarial
            sets[f"linf <= {attacks.budgets['linf']:.3g}"] = spent
        clean = predict(attacks.base, images)
        for kind, adversarial in sets.items():
            crafted = predict(attacks.base, adversarial)
            successes: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
            for victim, network in attacks.victims.items():
                outcome = judge(network, images, adversarial, labels, source_clean=clean, source_adversarial=crafted)
                successes[victim] = outcome.eligible, outcome.success
                found[victim, f"{published_name}, {kind}"] = shared(outcome.success[outcome.eligible].numpy())
            for one, other in pairs:
                both = successes[one][0] & successes[other][0]
                pair = changed(successes[one][1][both].numpy(), successes[other][1][both].numpy())
                found[f"{one} less {other}", f"{published_name}, {kind}"] = pair
    return found


def clean(attacks: Setting, options: StudyOptions, count: int) -> Found:
    """Loss of accuracy and rise of confidence on the first `count` test images, paired with the exact network."""
    images, labels = load_test_images(model=attacks.model, data=options.data, folder=options.data_folder)
    images, labels = images[:count], labels[:count]

    def measure(network: nn.Module) -> tuple[Bits, Bits]:
        values = logits(network, images)
        return (values.argmax(1) == labels).numpy(), (confidence(values, labels) > THRESHOLD).numpy()

    right, confident = measure(attacks.base)
    found: Found = {("exact", CONFIDENT): shared(confident)}
    for victim, network in attacks.victims.items():
        own_right, own_confident = measure(network)
        found[victim, LOSS] = changed(own_right, right)
        found[victim, CONFIDENT_MORE] = changed(own_confident, confident)
    return found
