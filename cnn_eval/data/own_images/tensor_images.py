"""Reads images and labels from a .safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch

from cnn_eval.support.tensor_files import read_tensor_file
from cnn_eval.support.verified_files import DataError

__all__ = ["read_tensor_images"]


def read_tensor_images(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The tensors `images` and `labels`. Raises DataError for anything else."""
    tensors = read_tensor_file(path)
    if tensors.keys() != {"images", "labels"}:
        raise DataError(
            f"{path} must hold the tensors images and labels, but holds {', '.join(sorted(tensors)) or 'none'}; "
            "write it with safetensors.torch.save_file."
        )
    return tensors["images"], tensors["labels"]
