"""Two short measurements of robustness for searches: transfer with a margin, and accuracy under an adaptive attack.

Both are small enough to run on every candidate; success is always what the gate-exact network says. The long versions,
with more attacks and controls, are for the few designs that a search leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits import Design, DesignError, design
from circuits.support.statistics import wilson
from cnn_eval.examples.stored_examples import AdversarialExamples, load_examples
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import load_test_images, network, sample_count
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model, model_entry
from cnn_eval.scenarios import EXAMPLES, TransferResult

__all__ = [
    "AdaptiveAttack",
    "AdaptiveResult",
    "adaptive_robustness",
    "gradients",
    "scaled_examples",
    "transfer_at_margin",
]

# ---- transfer at a margin


def scaled_examples(name: str, factor: float, *, model: str = "lenet5") -> AdversarialExamples:
    """The stored examples `name` with each perturbation times `factor`, clipped to [0, 1].

    Raises ValueError for a factor that is no positive number; as `load_examples` does otherwise.
    """
    if not 0 < factor < np.inf:
        raise ValueError(f"the factor of perturbations must be a positive number, but got {factor}; choose another.")
    stored = load_examples(name, model)
    scaled = (stored.clean + factor * (stored.adversarial - stored.clean)).clamp(0, 1)
    return replace(stored, adversarial=scaled, settings={**stored.settings, "factor": factor})


def transfer_at_margin(
    victim: Design | Mapping[str, Design],
    *,
    factor: float = 1.2,
    examples: Sequence[str] = EXAMPLES,
    model: str = "lenet5",
    layers: str = "conv",
) -> dict[str, TransferResult]:
    """By example set: how many of its examples, their perturbations times `factor`, fool `model` through `victim`.

    Eligible are those whose clean image both networks classify rightly and whose scaled image fools the source, the
    network through `exact`. FACTS: examples just past the decision boundary transfer badly, a small margin mends that.
    """
    model_entry(model)
    attacked = network(victim, model=model, layers=layers)
    results = {}
    for name in examples:
        scaled = scaled_examples(name, factor, model=model)
        eligible = _fools_source(name, factor, model, layers) & (predict(attacked, scaled.clean) == scaled.labels)
        fooled = eligible & (predict(attacked, scaled.adversarial) != scaled.labels)
        results[name] = TransferResult(int(fooled.sum()), int(eligible.sum()))
    return results


@lru_cache(maxsize=16)
def _fools_source(name: str, factor: float, model: str, layers: str) -> torch.Tensor:
    source = network(design("exact"), model=model, layers=layers)
    scaled = scaled_examples(name, factor, model=model)
    return (predict(source, scaled.clean) == scaled.labels) & (predict(source, scaled.adversarial) != scaled.labels)


# ---- adaptive robustness


@dataclass(frozen=True, kw_only=True)
class AdaptiveAttack:
    """PGD in the Linf ball of `epsilon`, `steps` steps of 2.5 epsilon / steps, from `restarts` random starts.

    It ascends the logit margin (best wrong class less the true one; Carlini, Wagner, "Towards Evaluating the Robustness
    of Neural Networks", 2017, f6): unlike cross-entropy it does not saturate where a multiplier scales the logits. Each
    start is run with every gradient that the design has; an image counts as fooled as soon as any iterate is.
    """

    epsilon: float = 0.1
    steps: int = 20
    restarts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 1 or self.steps < 1 or self.restarts < 1:
            raise ValueError(
                "0 < epsilon <= 1, steps >= 1 and restarts >= 1 must hold, but got "
                f"{self.epsilon}, {self.steps} and {self.restarts}; correct them."
            )


@dataclass(frozen=True)
class AdaptiveResult:
    """`clean`: which images are classified rightly, `robust`: which of them still are under attack; bool [images].

    `gradients`: what the attack went by, in the order of use.
    """

    clean: NDArray[np.bool_]
    robust: NDArray[np.bool_]
    gradients: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """Share of all images that are classified rightly under attack."""
        return float(self.robust.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `accuracy`."""
        return wilson(int(self.robust.sum()), self.robust.size)


def gradients(subject: Design | Mapping[str, Design]) -> tuple[str, ...]:
    """The `backward` modes that a white-box attacker of `subject` has: "ste", and "slope" for bilinear forms only."""
    try:
        for design in subject.values() if isinstance(subject, Mapping) else [subject]:
            approximate(nn.Conv2d(1, 1, 1), design, backward="slope")
    except DesignError:
        return ("ste",)
    return "ste", "slope"


def adaptive_robustness(
    subject: Design | Mapping[str, Design],
    attack: AdaptiveAttack | None = None,
    *,
    model: str = "lenet5",
    samples: int = 100,
    layers: str = "conv",
) -> AdaptiveResult:
    """`model` through `subject` under a white-box attack on the first `samples` embedded test images.

    Every forward pass is gate-exact. An image's result depends on nothing but itself.
    """
    attack = attack or AdaptiveAttack()
    images, labels = load_test_images(model=model)
    count = sample_count(samples, len(images), "test images")
    images, labels = images[:count], labels[:count]
    base = load_model(model).requires_grad_(False)
    modes = gradients(subject)
    networks = [approximate(base, subject, layers=layers, backward=mode) for mode in modes]
    clean = predict(networks[0], images) == labels
    robust = clean.clone()
    for restart in range(attack.restarts):
        start = _starts(images, attack, restart)
        for attacked in networks:
            chosen = robust.nonzero()[:, 0]
            robust[chosen] = ~_descend(attacked, images[chosen], labels[chosen], start[chosen], attack)
    return AdaptiveResult(clean.numpy(), robust.numpy(), modes)


def _starts(images: torch.Tensor, attack: AdaptiveAttack, restart: int) -> torch.Tensor:
    """Uniform in the ball, drawn for each image by its place, so that more images leave the first ones alone."""
    noise = []
    for place, image in enumerate(images):
        stream = np.random.default_rng([attack.seed, restart, place])
        noise.append(torch.from_numpy(stream.uniform(-1, 1, tuple(image.shape)).astype(np.float32)))
    return (images + attack.epsilon * torch.stack(noise)).clamp(0, 1)


def _descend(
    attacked: nn.Module, images: torch.Tensor, labels: torch.Tensor, start: torch.Tensor, attack: AdaptiveAttack
) -> torch.Tensor:
    """Which images some iterate fools, bool [N]. Fooled images drop out."""
    fooled = torch.zeros(len(images), dtype=torch.bool)
    active = torch.arange(len(images))
    low, high = (images - attack.epsilon).clamp(min=0), (images + attack.epsilon).clamp(max=1)
    present = start
    for step in range(attack.steps + 1):
        if not len(active):
            break
        present = present.detach().requires_grad_(step < attack.steps)
        with torch.set_grad_enabled(step < attack.steps):
            values = attacked(present)
            # As `predict` decides: the lowest class wins a tie.
            hit = values.argmax(1) != labels[active]
            true = values.gather(1, labels[active, None])[:, 0]
            margin = values.scatter(1, labels[active, None], -torch.inf).amax(1) - true
        fooled[active[hit]] = True
        if step == attack.steps:
            break
        (slope,) = torch.autograd.grad(margin.sum(), present)
        kept = ~hit
        moved = present.detach() + 2.5 * attack.epsilon / attack.steps * slope.sign()
        active = active[kept]
        present = torch.minimum(torch.maximum(moved[kept], low[active]), high[active])
    return fooled
