"""The trained network and the embedded data that network scorers use, by the checksums that scores depend on.

Everything here works without cnn_eval's loaders, which import torch: a finished search prints its result without it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnn_eval
from dse.score.scorers.scorer import ScoreSettings
from dse.space.per_layer import Candidate, designs_of

if TYPE_CHECKING:
    from cnn_eval.measure.subject_networks import SubjectNetworks

__all__ = ["EMBEDDED_IMAGES", "integer_networks", "network_settings", "record_digest"]

EMBEDDED_IMAGES = 2000
"""Number of test images in the package, the most that accuracy can be measured on."""
_FOLDER = Path(cnn_eval.__file__).parent


def network_settings(settings: ScoreSettings) -> dict[str, Any]:
    """The settings that every network score depends on: the model, its weights, the approximate layers."""
    return {"model": settings.model, "weights": record_digest("weights", settings.model), "layers": "conv"}


def record_digest(folder: str, name: str) -> str:
    """SHA-256 (hex) of the record beside a file of weights, images or examples; it holds that file's own SHA-256."""
    return hashlib.sha256((_FOLDER / folder / f"{name}.json").read_bytes()).hexdigest()


def integer_networks(candidate: Candidate, settings: ScoreSettings) -> SubjectNetworks | None:
    """The quantised networks that a candidate of integer designs is scored in; None for float designs.

    The scheme and widths are the design's ("auto"); calibrated as `QuantizeSettings` says on the embedded training
    images. Baselines are then exact integer products in the same network.
    """
    if any(design.float_format is not None for design in designs_of(candidate).values()):
        return None
    return _quantized_networks(settings.model)


@lru_cache(maxsize=2)
def _quantized_networks(model: str) -> SubjectNetworks:
    from cnn_eval.measure.subject_networks import QuantizeSettings, SubjectNetworks, unlabelled_images

    return SubjectNetworks(model, quantization=QuantizeSettings(), images=unlabelled_images(model=model))
