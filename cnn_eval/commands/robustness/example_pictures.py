"""Adversarial examples as pictures for a page."""

from __future__ import annotations

import argparse
import base64
import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from cnn_eval.commands.robustness.robustness_page import Picture
from cnn_eval.data.dataset_registry import dataset
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.measure.network_accuracy import is_user_model
from cnn_eval.models.registry import model_entry

__all__ = ["class_names", "class_words", "drawable", "picture"]


def class_names(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The names of the classes of the command line's images; None for images of one's own, whose classes have none."""
    if is_user_data(arguments.data):
        return None
    default = "mnist" if is_user_model(arguments.model) else model_entry(arguments.model).dataset
    return dataset(arguments.dataset or default).classes


def class_words(classes: Sequence[str] | None, index: int) -> str:
    """The class in words: its name in the data set, or its number."""
    name = classes[index] if classes is not None and index < len(classes) else str(index)
    return name if not name.isdecimal() else f"class {name}"


def drawable(images: torch.Tensor) -> bool:
    """Whether the images [N, C, H, W] are grey or of three colours."""
    return images.shape[1] in (1, 3)


def picture(clean: torch.Tensor, adversarial: torch.Tensor, *, classes: str, caption: str) -> Picture:
    """The example [C, H, W] in [0, 1] beside the clean image and their difference.

    The difference d is drawn as 1/2 + s d with s = 1 / (2 max |d|), so that grey means no change and the largest change
    is black or white; s is the picture's `scale`.
    """
    change = adversarial - clean
    largest = float(change.abs().max())
    scale = 0.5 / largest if largest else 1.0
    return Picture(
        _address(clean), _address(adversarial), _address(0.5 + scale * change), round(scale, 3), classes, caption
    )


def _address(pixels: torch.Tensor) -> str:
    """The image as PNG in a data address."""
    values = np.rint(255 * pixels.detach().cpu().clamp(0, 1).numpy()).astype(np.uint8)
    image = Image.fromarray(values[0]) if len(values) == 1 else Image.fromarray(np.moveaxis(values, 0, -1))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
