"""Speed of scoring one more design on examples that are crafted already; part of the throughput study."""

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
    """Transfer scoring of designs new to the process on ATTACKS x EXAMPLES stored examples, LeNet-5, wall time.

    The examples are noisy images: what they are does not change the work of a forward pass.
    """
    images = load("mnist", "test")
    clean, labels = images.images[:EXAMPLES], images.labels[:EXAMPLES]
    generator = torch.Generator().manual_seed(0)
    sets = [(clean + 0.1 * torch.randn(clean.shape, generator=generator)).clamp(0, 1) for _ in range(ATTACKS)]
    source = load_model("lenet5")
    source_clean, source_sets = predict(source, clean), [predict(source, each) for each in sets]
    made = []
    for name in ("exact", "heap", "axfpm_tiled", "axfpm"):
        started = time.perf_counter()
        victim = network(design(name))
        own = predict(victim, clean)
        for adversarial, classes in zip(sets, source_sets, strict=True):
            judge(
                victim,
                clean,
                adversarial,
                labels,
                source_clean=source_clean,
                source_adversarial=classes,
                victim_clean=own,
            )
        elapsed = time.perf_counter() - started
        made.append(Row(f"transfer of {ATTACKS} x {EXAMPLES} examples, LeNet-5", f"{name}, gate", elapsed, unit="s"))
    return made
