"""A user's own labelled images, in a safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch

from cnn_eval.data.image_checks import check_images, check_labels, describe_tensor
from cnn_eval.support.tensor_files import read_tensor_file
from cnn_eval.support.verified_files import DataError

__all__ = ["load_user_images"]


def load_user_images(path: Path | str, *, unit: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """(images float32 [N, C, H, W] as the network takes them, labels int64 [N]) from a safetensors file that holds the
    tensors `images` and `labels`.

    Pixels must be finite and, with `unit`, lie in [0, 1] as attacks need. Raises DataError naming the first image that
    breaks a rule.
    """
    tensors = read_tensor_file(Path(path))
    if tensors.keys() != {"images", "labels"}:
        raise DataError(
            f"{path} must hold the tensors images and labels, but holds {', '.join(sorted(tensors)) or 'none'}; "
            "write it with safetensors.torch.save_file."
        )
    images, labels = tensors["images"], tensors["labels"]
    try:
        check_images(images, unit=unit)
        check_labels(labels, len(images))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    if not images.numel():
        raise DataError(f"{path}: there must be an image, but images are {describe_tensor(images)}; give some.")
    return images, labels
