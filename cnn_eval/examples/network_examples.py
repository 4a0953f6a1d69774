"""Adversarial examples for a network without stored ones: crafted on it once, and kept in the cache.

They follow the recipes of the stored sets. Their images are the first ones of the user's that the network classifies
correctly, and all of them are kept: whoever counts looks at those that the attack fooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cnn_eval.attacks.shared.budgets import data_set_alike
from cnn_eval.examples.example_cache import craft, default_cache
from cnn_eval.examples.example_sets import EXAMPLE_SETS
from cnn_eval.models.inference import predict

__all__ = ["NETWORK_EXAMPLES", "NetworkExamples", "network_examples"]

NETWORK_EXAMPLES = 100
"""Images that examples are crafted from."""
_FALLBACK = "cifar10"
"""The data set whose budget images of an unknown kind get, as `default_budget` gives them."""


@dataclass(frozen=True)
class NetworkExamples:
    """`clean`, `adversarial`: float32 [N, C, H, W] in [0, 1], equal where the attack failed; `labels`: int64 [N]."""

    clean: torch.Tensor
    adversarial: torch.Tensor
    labels: torch.Tensor


def network_examples(
    network: nn.Module,
    names: Sequence[str],
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    dataset: str | None = None,
    cache: Path | None = None,
) -> dict[str, NetworkExamples]:
    """The example sets `names` (`EXAMPLE_SETS`) crafted on `network`, from the `cache` (default: the user's cache
    folder) where they are in it.

    `images`: float32 [N, C, H, W] with pixels in [0, 1], labels int64 [N]. `dataset`: the data set that they belong to,
    which decides budgets; None for a user's own, which get the budgets of the data set with images of their shape.
    Raises MissingExtraError where an attack's library is not installed.
    """
    right = (predict(network, images) == labels).nonzero()[:NETWORK_EXAMPLES, 0]
    clean, chosen_labels = images[right], labels[right]
    like = dataset or data_set_alike(images.shape[1:]) or _FALLBACK
    sets = {}
    for name in names:
        if not len(right):  # then there is nothing to fool
            sets[name] = NetworkExamples(clean, clean, chosen_labels)
            continue
        recipe = EXAMPLE_SETS[name]
        epsilon = recipe.epsilon.get(like, recipe.epsilon.get(_FALLBACK))
        crafted = craft(
            network,
            recipe.build_attack(),
            clean,
            chosen_labels,
            mode=recipe.mode,
            epsilon=epsilon,
            cache=cache or default_cache(),
        )
        sets[name] = NetworkExamples(clean, crafted.adversarial, chosen_labels)
    return sets
