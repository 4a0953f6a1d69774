"""Checks of labelled images before anything is computed with them."""

from __future__ import annotations

import torch

__all__ = ["check_images", "check_labels", "describe_tensor"]


def check_images(images: torch.Tensor, *, unit: bool = True) -> None:
    """Raises ValueError, naming the first offending image, unless `images` are float32 [N, C, H, W] with finite pixels
    and, with `unit`, pixels in [0, 1].

    Attacks clip to [0, 1], and PSNR takes 1 as the largest difference of two pixels. Accuracy needs no range: a network
    may well take normalised images.
    """
    if images.ndim != 4 or images.dtype != torch.float32:
        raise ValueError(f"images must be float32 [N, C, H, W], but are {describe_tensor(images)}; convert them.")
    if not images.numel():
        return
    pixels = images.detach().flatten(1)
    non_finite = ~pixels.isfinite().all(1)
    if bool(non_finite.any()):
        first, others = _first_offender(non_finite)
        value = float(pixels[first][~pixels[first].isfinite()][0])
        raise ValueError(f"pixels must be finite, but image {first} has {value}{others}; leave it out.")
    outside = ((pixels < 0) | (pixels > 1)).any(1)
    if unit and bool(outside.any()):
        first, others = _first_offender(outside)
        low, high = float(pixels[first].min()), float(pixels[first].max())
        raise ValueError(
            f"pixels must lie in [0, 1], but image {first} reaches from {low:g} to {high:g}{others}; scale the images, "
            "and let the network normalise them."
        )


def check_labels(labels: torch.Tensor, images: int, *, classes: int | None = None) -> None:
    """Raises ValueError, naming the first offending image, unless `labels` are int64 [images], at least 0 and, with
    `classes`, below that number."""
    if labels.dtype != torch.int64 or labels.shape != (images,):
        raise ValueError(
            f"labels must be int64 [{images}], but are {describe_tensor(labels)}; give one class an image."
        )
    negative = labels < 0
    if bool(negative.any()):
        first, others = _first_offender(negative)
        raise ValueError(f"labels must be classes from 0, but image {first} has {int(labels[first])}{others}; correct.")
    if classes is None:
        return
    too_large = labels >= classes
    if bool(too_large.any()):
        first, others = _first_offender(too_large)
        raise ValueError(
            f"the model must have a class for every label, but has {classes} classes and image {first} has the label "
            f"{int(labels[first])}{others}; choose images that fit the model."
        )


def describe_tensor(tensor: torch.Tensor) -> str:
    """Dtype and shape, for messages."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _first_offender(offends: torch.Tensor) -> tuple[int, str]:
    """(index of the first offending image, how many others offend, in words), from bool [N]."""
    indices = offends.nonzero()[:, 0]
    others = len(indices) - 1
    return int(indices[0]), f" (and {others} more)" if others else ""
