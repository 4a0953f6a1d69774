"""Transfer of the committed example sets: how many of their examples fool a network through a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn

from circuits import Design, design
from circuits.support.statistics import wilson
from cnn_eval.examples.stored_examples import load_examples
from cnn_eval.layers.product_kinds import compute_argument
from cnn_eval.measure.network_accuracy import network, sample_count
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import model_entry

__all__ = ["EXAMPLES", "TransferResult", "fools", "measure_transfer", "transfer_of"]

EXAMPLES = ("pgd", "fgsm_smallest")
"""The stored example sets that transfer is measured on: a fixed budget, and minimum norm (DESIGN 8)."""


@dataclass(frozen=True)
class TransferResult:
    """`fooled` of `eligible` examples fool the approximate network.

    Eligible are examples whose clean image both networks classify correctly and whose adversarial image fools the
    source, the same network through the design `exact`.
    """

    fooled: int
    eligible: int

    @property
    def rate(self) -> float:
        """Share of eligible examples that fool the approximate network; NaN where none is eligible."""
        return self.fooled / self.eligible if self.eligible else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `rate`."""
        return wilson(self.fooled, self.eligible)


def measure_transfer(
    victim: Design | Mapping[str, Design] | nn.Module,
    *,
    examples: Sequence[str] = EXAMPLES,
    model: str = "lenet5",
    layers: str = "conv",
    samples: int | None = None,
    compute: str = "auto",
    mode: str | None = None,
) -> dict[str, TransferResult]:
    """For each example set, how many of its first `samples` examples fool `model` with its `layers` through `victim`.

    `victim`: the design or designs, or a network of the same inputs and classes as `model`; `layers`, `compute` and the
    deprecated `mode`: as in `approximate`; `model`: a name in MODELS. Raises as `load_examples` does.
    """
    compute = compute_argument(compute, mode)
    model_entry(model)
    how = {"model": model, "layers": layers, "compute": compute}
    attacked = victim if isinstance(victim, nn.Module) else network(victim, **how)
    results = {}
    for name in examples:
        stored = load_examples(name, model)
        count = sample_count(samples, len(stored), f"stored examples {name}")
        clean, adversarial, labels = stored.clean[:count], stored.adversarial[:count], stored.labels[:count]
        results[name] = transfer_of(attacked, clean, adversarial, labels, _fools_source(name, model, layers)[:count])
    return results


def transfer_of(
    victim: nn.Module, clean: torch.Tensor, adversarial: torch.Tensor, labels: torch.Tensor, fools_source: torch.Tensor
) -> TransferResult:
    """How many of the examples `adversarial`, made from `clean` (both [N, C, H, W]), fool `victim`.

    `labels` int64 [N]. `fools_source` bool [N]: which of them fool the network that they were made on (`fools`).
    """
    eligible = fools_source & (predict(victim, clean) == labels)
    fooled = eligible & (predict(victim, adversarial) != labels)
    return TransferResult(int(fooled.sum()), int(eligible.sum()))


def fools(network: nn.Module, clean: torch.Tensor, adversarial: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which examples fool `network`, which classifies their clean images correctly: bool [N]."""
    return (predict(network, clean) == labels) & (predict(network, adversarial) != labels)


@lru_cache(maxsize=16)
def _fools_source(name: str, model: str, layers: str) -> torch.Tensor:
    """Which stored examples fool the source network, which classifies their clean images correctly: bool [examples]."""
    source = network(design("exact"), model=model, layers=layers)
    stored = load_examples(name, model)
    return fools(source, stored.clean, stored.adversarial, stored.labels)
