"""Transfer of examples crafted on a user's network, once for all designs: they are kept in the user's cache folder."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from cnn_eval.attacks.shared.primitives import scale_perturbation
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.examples.example_cache import default_cache
from cnn_eval.examples.network_examples import NETWORK_EXAMPLES, NetworkExamples, network_examples
from cnn_eval.scenarios.transfer import TransferResult, fools, transfer_of
from dse.score.folder_lock import folder_locked
from dse.score.networks.scored_networks import evaluation_images, source_network
from dse.score.scorers.scorer import ScoreSettings

__all__ = ["crafted_transfer"]

_TRIED = 4 * NETWORK_EXAMPLES
"""Images among which those are sought that the network classifies correctly."""


def crafted_transfer(victim: nn.Module, settings: ScoreSettings, factor: float) -> dict[str, TransferResult]:
    """Example set -> how many of its examples, perturbations scaled by `factor`, fool `victim`.

    Eligible are those whose clean image both networks classify correctly and that fool the network they were made on.
    """
    results = {}
    for name, (clean, adversarial, labels, source) in _scaled(_key(settings), factor).items():
        results[name] = transfer_of(victim, clean, adversarial, labels, source)
    return results


def _key(settings: ScoreSettings) -> ScoreSettings:
    """Settings that are equal where the examples are: layers and images for accuracy play no part."""
    return ScoreSettings(
        model=settings.model,
        dataset=settings.dataset,
        examples=settings.examples,
        network=settings.network.loaded,
    )


@lru_cache(maxsize=2)
def _examples(key: ScoreSettings) -> dict[str, NetworkExamples]:
    images, labels = evaluation_images(key)
    dataset = None if is_user_data(key.network.data) else key.dataset
    default_cache().mkdir(parents=True, exist_ok=True)
    # Of several workers one crafts; the others wait, and find the examples in the cache.
    with folder_locked(default_cache()):
        return network_examples(source_network(key), key.examples, images[:_TRIED], labels[:_TRIED], dataset=dataset)


@lru_cache(maxsize=4)
def _scaled(
    key: ScoreSettings, factor: float
) -> dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Example set -> (clean images, adversarial ones, labels, which fool the network that they were made on)."""
    source = source_network(key)
    scaled = {}
    for name, examples in _examples(key).items():
        adversarial = examples.adversarial
        if factor != 1:
            adversarial = scale_perturbation(examples.clean, adversarial, factor)
        fooled = fools(source, examples.clean, adversarial, examples.labels)
        scaled[name] = (examples.clean, adversarial, examples.labels, fooled)
    return scaled
