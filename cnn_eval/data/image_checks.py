"""What labelled images must be before anything is computed with them."""

from __future__ import annotations

import torch

__all__ = ["check_images", "check_labels"]


def check_images(images: torch.Tensor, *, unit: bool = True) -> None:
    """Raises ValueError unless `images` are float32 [N, C, H, W] with finite pixels, in [0, 1] where `unit` is true;
    the message names the first image that breaks the rule.

    Attacks clip to [0, 1], and PSNR takes 1 for the largest difference of two pixels. Accuracy needs no range: a
    network may well be fed normalised images.
    """
    if images.ndim != 4 or images.dtype != torch.float32:
        raise ValueError(f"images must be float32 [N, C, H, W], but are {describe_tensor(images)}; convert them.")
    if not images.numel():
        return
    flat = images.detach().flatten(1)
    wrong = ~flat.isfinite().all(1)
    if bool(wrong.any()):
        first, others = _first(wrong)
        values = flat[first][~flat[first].isfinite()]
        raise ValueError(f"pixels must be finite, but image {first} has {float(values[0])}{others}; leave it out.")
    wrong = ((flat < 0) | (flat > 1)).any(1)
    if unit and bool(wrong.any()):
        first, others = _first(wrong)
        low, high = float(flat[first].min()), float(flat[first].max())
        raise ValueError(
            f"pixels must lie in [0, 1], but image {first} reaches from {low:g} to {high:g}{others}; scale the images, "
            "and let the network normalise them."
        )


def check_labels(labels: torch.Tensor, images: int, *, classes: int | None = None) -> None:
    """Raises ValueError unless `labels` are int64 [images], from 0, and below `classes` where that is given; the
    message names the first image that breaks the rule."""
    if labels.dtype != torch.int64 or labels.shape != (images,):
        raise ValueError(
            f"labels must be int64 [{images}], but are {describe_tensor(labels)}; give one class an image."
        )
    wrong = labels < 0
    if bool(wrong.any()):
        first, others = _first(wrong)
        raise ValueError(f"labels must be classes from 0, but image {first} has {int(labels[first])}{others}; correct.")
    wrong = torch.zeros_like(wrong) if classes is None else labels >= classes
    if bool(wrong.any()):
        first, others = _first(wrong)
        raise ValueError(
            f"the model must have a class for every label, but has {classes} classes and image {first} has the label "
            f"{int(labels[first])}{others}; choose images that fit the model."
        )


def describe_tensor(tensor: torch.Tensor) -> str:
    """Dtype and shape, for messages."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _first(wrong: torch.Tensor) -> tuple[int, str]:
    """The first of the wrong images, counted from 0, and how many more there are, in words."""
    places = wrong.nonzero()[:, 0]
    more = len(places) - 1
    return int(places[0]), f" (and {more} more)" if more else ""
