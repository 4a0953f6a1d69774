"""Measures how fast a further design is scored on stored adversarial examples. Part of the throughput study."""

from __future__ import annotations

import time

import torch

from circuits import design
from cnn_eval.data.loading import load
from cnn_eval.measure.network_accuracy import network
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model
from cnn_eval.scenarios.success import judge
from studies.frame.study import Row

ATTACKS = 8
EXAMPLES = 500


def rows() -> list[Row]:
    """Measures the wall time of scoring a design on ATTACKS x EXAMPLES stored examples for LeNet-5.

    The time includes building the victim network. The examples are noisy images rather than results of attacks, since
    the cost of a forward pass does not depend on the content of its input.
    """
    images = load("mnist", "test")
    clean, labels = images.images[:EXAMPLES], images.labels[:EXAMPLES]
    generator = torch.Generator().manual_seed(0)
    adversarial_sets = [
        (clean + 0.1 * torch.randn(clean.shape, generator=generator)).clamp(0, 1) for _ in range(ATTACKS)
    ]
    source = load_model("lenet5")
    source_clean, source_classes = (
        predict(source, clean),
        [predict(source, adversarial) for adversarial in adversarial_sets],
    )
    timings = []
    for name in ("exact", "heap", "axfpm_tiled", "axfpm"):
        started = time.perf_counter()
        victim = network(design(name))
        victim_clean = predict(victim, clean)
        for adversarial, classes in zip(adversarial_sets, source_classes, strict=True):
            judge(
                victim,
                clean,
                adversarial,
                labels,
                source_clean=source_clean,
                source_adversarial=classes,
                victim_clean=victim_clean,
            )
        elapsed = time.perf_counter() - started
        timings.append(Row(f"transfer of {ATTACKS} x {EXAMPLES} examples, LeNet-5", f"{name}, gate", elapsed, unit="s"))
    return timings
