"""A user's own labelled images, from a file or a folder, as a network takes them.

A kind of file is a function that reads (images, labels) as they stand there and a line in READERS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

import torch

from circuits.support.cli import say
from circuits.support.lazy import LazyMapping
from cnn_eval.data.dataset_record import Source
from cnn_eval.data.image_checks import check_images, check_labels, describe_tensor
from cnn_eval.data.own_images.picture_folders import read_pictures
from cnn_eval.support.verified_files import DataError

__all__ = ["is_user_data", "load_user_images"]

Tensor = torch.Tensor
_CHANNELS = (1, 3)
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


READERS: Mapping[str, Callable[[Path], tuple[Tensor, Tensor]]] = LazyMapping(
    {
        ".safetensors": "cnn_eval.data.own_images.tensor_images:read_tensor_images",
        ".npz": "cnn_eval.data.own_images.array_files:read_npz",
        ".npy": "cnn_eval.data.own_images.array_files:read_npy",
    }
)
"""Ending of a file's name -> what reads it."""


def is_user_data(data: str) -> bool:
    """Whether `data` means a file or folder of images, and not a data set's "embedded" or "full" images."""
    return data not in get_args(Source) and (Path(data).suffix.lower() in READERS or Path(data).is_dir())


def load_user_images(path: Path | str, *, unit: bool = False, notes: bool = True) -> tuple[Tensor, Tensor]:
    """(images float32 [N, C, H, W] as the network takes them, labels int64 [N]) from a user's file or folder.

    - .safetensors: tensors `images` and `labels`
    - .npz: arrays `images` and `labels`, or `x` and `y`
    - .npy: images, with the labels beside them (`read_npy`)
    - a folder of pictures by class (`read_pictures`)

    Images of 8-bit integers are divided by 255; they and NumPy's may be [N, H, W] or [N, H, W, C] with one or three
    channels, and NumPy's may have another precision. What was changed is a note on standard error, if `notes`. Labels
    may be integers of any width.

    Pixels must be finite and, with `unit`, lie in [0, 1] as attacks need. Raises DataError naming the first image that
    breaks a rule.
    """
    path = Path(path)
    read = READERS[path.suffix.lower()] if path.suffix.lower() in READERS and not path.is_dir() else read_pictures
    given, labels = read(path)
    images, changes = _as_a_network_takes_them(given, of_numpy=read is not READERS[".safetensors"])
    labels = _as_classes(labels)
    try:
        check_images(images, unit=unit)
        check_labels(labels, len(images))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    if not images.numel():
        raise DataError(f"{path}: there must be an image, but images are {describe_tensor(images)}; give some.")
    if changes and notes:
        say(f"note: images of {path} are {describe_tensor(given)}: {', '.join(changes)}", file=sys.stderr)
    return images, labels


def _as_a_network_takes_them(images: Tensor, *, of_numpy: bool) -> tuple[Tensor, list[str]]:
    """(the images, what was changed in words); images that cannot be brought to the form are left as they are."""
    changes: list[str] = []
    bytes_ = images.dtype == torch.uint8
    if bytes_ or of_numpy:
        if images.dim() == 3:
            images = images[:, None]
            changes.append("taken as one channel")
        elif images.dim() == 4 and images.shape[3] in _CHANNELS and images.shape[1] not in _CHANNELS:
            images = images.permute(0, 3, 1, 2)
            changes.append("the last axis taken as channels")
    if bytes_:
        # As the data sets of the package are scaled.
        images = images.to(torch.float32) / 255
        changes.append("divided by 255")
    elif of_numpy and images.is_floating_point() and images.dtype != torch.float32:
        images = images.to(torch.float32)
        changes.append("rounded to float32")
    return images.contiguous(), changes


def _as_classes(labels: Tensor) -> Tensor:
    if labels.dim() == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    return labels.to(torch.int64) if labels.dtype in _INTEGERS else labels
