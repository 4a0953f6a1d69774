"""Two short measurements of robustness for searches: transfer with a margin, and accuracy under an adaptive attack.

Both are cheap enough to run on every candidate, and the bit-accurate network always decides whether an attack succeeds.
The long versions, with more attacks and controls, are meant for the few designs that a search yields.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits import Design, DesignError
from circuits import design as named_design
from circuits.support.statistics import wilson
from cnn_eval.attacks.shared.primitives import logit_margin, scale_perturbation
from cnn_eval.examples.stored_examples import AdversarialExamples, load_examples
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import base_network, load_test_images, network, sample_count
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import model_entry
from cnn_eval.scenarios.transfer import EXAMPLES, TransferResult, fools, transfer_of

__all__ = [
    "AdaptiveAttack",
    "AdaptiveResult",
    "adaptive_robustness",
    "available_gradients",
    "scaled_examples",
    "transfer_at_margin",
]

# ---- transfer at a margin


def scaled_examples(name: str, factor: float, *, model: str = "lenet5") -> AdversarialExamples:
    """The stored examples `name` with each perturbation multiplied by `factor`, clipped to [0, 1].

    Raises ValueError unless the factor is a positive number, and as `load_examples` does.
    """
    if not 0 < factor < np.inf:
        raise ValueError(f"the factor of perturbations must be a positive number, but got {factor}; choose another.")
    stored = load_examples(name, model)
    scaled = scale_perturbation(stored.clean, stored.adversarial, factor)
    return replace(stored, adversarial=scaled, settings={**stored.settings, "factor": factor})


def transfer_at_margin(
    design: Design | Mapping[str, Design] | nn.Module,
    *,
    factor: float = 1.2,
    examples: Sequence[str] = EXAMPLES,
    model: str = "lenet5",
    layers: str = "conv",
) -> dict[str, TransferResult]:
    """Example set -> how many of its examples, with perturbations scaled by `factor`, fool `model` through `design`.

    `design` may also be a network of the same inputs and classes.

    Eligible are examples whose clean image both networks classify correctly and whose scaled image fools the source,
    the network through the design `exact`. Examples just past the decision boundary transfer badly; a small margin
    beyond it suffices to change that.
    """
    model_entry(model)
    victim = design if isinstance(design, nn.Module) else network(design, model=model, layers=layers)
    results = {}
    for name in examples:
        scaled = scaled_examples(name, factor, model=model)
        source = _fools_source(name, factor, model, layers)
        results[name] = transfer_of(victim, scaled.clean, scaled.adversarial, scaled.labels, source)
    return results


@lru_cache(maxsize=16)
def _fools_source(name: str, factor: float, model: str, layers: str) -> torch.Tensor:
    source = network(named_design("exact"), model=model, layers=layers)
    scaled = scaled_examples(name, factor, model=model)
    return fools(source, scaled.clean, scaled.adversarial, scaled.labels)


# ---- adaptive robustness


@dataclass(frozen=True, kw_only=True)
class AdaptiveAttack:
    """PGD in the Linf ball of radius `epsilon`, `steps` steps of 2.5 epsilon / steps, from `restarts` random starts.

    It ascends the logit margin, best wrong class minus true class (Carlini, Wagner, "Towards Evaluating the Robustness
    of Neural Networks", 2017, f6). Unlike cross-entropy, the margin does not saturate when a multiplier scales the
    logits. Each start is run with every gradient that the design has, and an image is fooled as soon as any iterate is
    misclassified.
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
    """`clean`: which images are classified correctly, `robust`: which of them still are under attack; bool [images].

    `gradients` are the backward modes that the attack used, in order.
    """

    clean: NDArray[np.bool_]
    robust: NDArray[np.bool_]
    gradients: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """Share of all images that are classified correctly under attack."""
        return float(self.robust.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `accuracy`."""
        return wilson(int(self.robust.sum()), self.robust.size)


def available_gradients(design: Design | Mapping[str, Design]) -> tuple[str, ...]:
    """The `backward` modes open to a white-box attacker: "ste", and "slope" if all designs are bilinear forms.

    Of integer designs "ste" and "table1d".
    """
    if all(each.float_format is None for each in (design.values() if isinstance(design, Mapping) else [design])):
        return "ste", "table1d"
    try:
        for layer_design in design.values() if isinstance(design, Mapping) else [design]:
            approximate(nn.Conv2d(1, 1, 1), layer_design, backward="slope")
    except DesignError:
        return ("ste",)
    return "ste", "slope"


def adaptive_robustness(
    design: Design | Mapping[str, Design],
    attack: AdaptiveAttack | None = None,
    *,
    model: str | nn.Module = "lenet5",
    samples: int = 100,
    layers: str = "conv",
    dataset: str | None = None,
    data: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> AdaptiveResult:
    """The accuracy of `model` through `design` under a white-box attack, on the first `samples` embedded test images.

    `dataset` names the images, by default those of the named model; a `model` that is a network (quantised, for integer
    designs) needs it. `data`: (images float32 [N, C, H, W] with pixels in [0, 1], labels int64 [N]) in their place.

    Every forward pass is bit-accurate. The result of an image does not depend on the other images.
    """
    attack = attack or AdaptiveAttack()
    images, labels = data or load_test_images(model=model if isinstance(model, str) else "", dataset=dataset)
    count = sample_count(samples, len(images), "test images")
    images, labels = images[:count], labels[:count]
    base = (base_network(model) if isinstance(model, str) else copy.deepcopy(model)).requires_grad_(False)
    gradients = available_gradients(design)
    networks = [approximate(base, design, layers=layers, backward=backward) for backward in gradients]
    clean = predict(networks[0], images) == labels
    robust = clean.clone()
    for restart in range(attack.restarts):
        start = _random_starts(images, attack, restart)
        for victim in networks:
            indices = robust.nonzero()[:, 0]
            robust[indices] = ~_attack_by_pgd(victim, images[indices], labels[indices], start[indices], attack)
    return AdaptiveResult(clean.numpy(), robust.numpy(), gradients)


def _random_starts(images: torch.Tensor, attack: AdaptiveAttack, restart: int) -> torch.Tensor:
    """Starting points, uniform in the ball around each image.

    Each image has a random stream of its own, by its index, so that the number of images does not change them.
    """
    noise = []
    for index, image in enumerate(images):
        stream = np.random.default_rng([attack.seed, restart, index])
        noise.append(torch.from_numpy(stream.uniform(-1, 1, tuple(image.shape)).astype(np.float32)))
    return (images + attack.epsilon * torch.stack(noise)).clamp(0, 1)


def _attack_by_pgd(
    victim: nn.Module, images: torch.Tensor, labels: torch.Tensor, start: torch.Tensor, attack: AdaptiveAttack
) -> torch.Tensor:
    """Which images some iterate fools, bool [N]. Projected gradient ascent on the logit margin g:

        x(t + 1) = clip to ball and [0, 1] of  x(t) + 2.5 epsilon / steps * sign(grad g(x(t)))

    Invariant: `active` holds the indices of the images that no iterate has fooled yet, `iterates` their x(t).
    """
    fooled = torch.zeros(len(images), dtype=torch.bool)
    active = torch.arange(len(images))
    low, high = (images - attack.epsilon).clamp(min=0), (images + attack.epsilon).clamp(max=1)
    iterates = start
    for step in range(attack.steps + 1):
        if not len(active):
            break
        is_last = step == attack.steps
        iterates = iterates.detach().requires_grad_(not is_last)
        with torch.set_grad_enabled(not is_last):
            values = victim(iterates)
            # As in `predict`, the lowest class wins a tie.
            is_hit = values.argmax(1) != labels[active]
            margin = logit_margin(values, labels[active])
        fooled[active[is_hit]] = True
        if is_last:
            break
        (gradient,) = torch.autograd.grad(margin.sum(), iterates)
        moved = iterates.detach() + 2.5 * attack.epsilon / attack.steps * gradient.sign()
        active = active[~is_hit]
        iterates = torch.minimum(torch.maximum(moved[~is_hit], low[active]), high[active])
    return fooled
