"""The trained network and the embedded data that network scorers use, by the checksums that scores depend on.

Everything here works without cnn_eval's loaders, which import torch: a finished search prints its result without it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cnn_eval
from dse.score.scorers.scorer import ScoreSettings

__all__ = ["EMBEDDED_IMAGES", "network_settings", "record_digest"]

EMBEDDED_IMAGES = 2000
"""Number of test images in the package, the most that accuracy can be measured on."""
_FOLDER = Path(cnn_eval.__file__).parent


def network_settings(settings: ScoreSettings) -> dict[str, Any]:
    """The settings that every network score depends on: the model, its weights, the approximate layers."""
    return {"model": settings.model, "weights": record_digest("weights", settings.model), "layers": "conv"}


def record_digest(folder: str, name: str) -> str:
    """SHA-256 (hex) of the record beside a file of weights, images or examples; it holds that file's own SHA-256."""
    return hashlib.sha256((_FOLDER / folder / f"{name}.json").read_bytes()).hexdigest()
