"""Measures how fast designs are scored on stored adversarial examples, and one attack. Part of the throughput study."""

from __future__ import annotations

import time

import torch

from circuits import design
from cnn_eval.attacks.shared.base import MissingExtraError, foolbox_model
from cnn_eval.data.loading import load
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import network
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model
from cnn_eval.scenarios.success import judge
from cnn_eval.support.thread_limits import torch_threads
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


def carlini_wagner_rows(steps: int) -> list[Row]:
    """Measures one white-box C&W L2 attack: `steps` iterations on one image, straight-through gradients, one thread."""
    images = load("mnist", "test")
    rows = []
    for name, compute in (("exact", "gate"), ("axfpm_tiled", "gate"), ("axfpm_tiled", "lowered")):
        network = approximate(load_model("lenet5"), design(name), compute=compute)
        try:
            adversary = foolbox_model(network, images.images)
        except MissingExtraError:
            return []
        from foolbox.attacks.carlini_wagner import (
            L2CarliniWagnerAttack,
        )  # after foolbox_model, which silences its warnings

        attack = L2CarliniWagnerAttack(binary_search_steps=1, steps=steps, initial_const=1.0, abort_early=False)
        with torch_threads(1):
            start = time.perf_counter()
            attack.run(adversary, images.images[:1], images.labels[:1])
            elapsed = time.perf_counter() - start
        rows.append(Row(f"C&W L2, one image, {steps:,} iterations", f"{name}, {compute}", elapsed, unit="s"))
    return rows
