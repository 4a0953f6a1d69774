"""What identifies a network and its images in the keys of stored scores: checksums of all that the scores depend on.

The committed network and the embedded data are known by the records beside their files, without cnn_eval's loaders,
which import torch: a finished search of the default network prints its result without it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnn_eval
from circuits.support.files import read_bytes

if TYPE_CHECKING:
    from dse.score.scorers.scorer import ScoreSettings

__all__ = ["EMBEDDED_IMAGES", "data_digest", "has_stored_examples", "network_settings", "record_digest"]

EMBEDDED_IMAGES = 2000
"""Number of test images in the package for the default network, the most that its accuracy can be measured on."""
_FOLDER = Path(cnn_eval.__file__).parent
_MAXIMUM_WEIGHT_BYTES = 1 << 34


def network_settings(settings: ScoreSettings) -> dict[str, Any]:
    """The settings that every network score depends on: the model, its weights, how it is made, the layers.

    What is left to its default is left out, so that the keys of the default network stay those of earlier versions.
    """
    network = settings.network
    own = ":" in settings.model
    data: dict[str, Any] = {
        "model": "own" if own else settings.model,
        "weights": _network_digest(settings.model, network.weights) if own or network.weights else "",
        "layers": network.layers if isinstance(network.layers, str) else list(network.layers),
    }
    if not data["weights"]:
        data["weights"] = record_digest("weights", settings.model)
    if network.quantize:
        data["quantize"] = network.quantization
    if network.recover:
        data["recover"] = network.recover
    if network.accumulator:
        data["accumulator"] = list(network.accumulator)
    if own or network.loaded != type(network)():
        # Quantised and recovered from images of the same data set, or of the user's own.
        data["images"] = data_digest(settings)
    return data


def data_digest(settings: ScoreSettings) -> str:
    """SHA-256 (hex) of the record of the embedded images, or of the images and labels themselves."""
    if settings.network.data == "embedded":
        return record_digest("datasets", settings.dataset)
    from dse.score.networks.scored_networks import image_digest

    return image_digest(settings)


def record_digest(folder: str, name: str) -> str:
    """SHA-256 (hex) of the record beside a file of weights, images or examples; it holds that file's own SHA-256."""
    return hashlib.sha256((_FOLDER / folder / f"{name}.json").read_bytes()).hexdigest()


def has_stored_examples(settings: ScoreSettings) -> bool:
    """Whether the package holds the adversarial examples `settings.examples` for this very network."""
    network = settings.network
    return (
        not network.weights
        and network.data == "embedded"
        and ":" not in settings.model
        and all((_FOLDER / "datasets" / f"{settings.model}_{name}.json").exists() for name in settings.examples)
    )


@lru_cache(maxsize=8)
def _network_digest(model: str, weights: str) -> str:
    """Of a user's own network, what it computes; of a file of weights for a committed one, its bytes."""
    if ":" not in model:
        return hashlib.sha256(read_bytes(Path(weights), limit=_MAXIMUM_WEIGHT_BYTES)).hexdigest()
    from dse.score.networks.scored_networks import own_network_digest

    return own_network_digest(model, weights)
