"""Images to retrain on and, apart from them, to measure on."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from circuits.support.cli import say
from cnn_eval.data.loading import load
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.measure.network_accuracy import is_user_model, load_test_images
from cnn_eval.models.registry import model_entry

__all__ = ["TrainAndTest", "train_and_test"]

HELD_OUT = 5
"""Of a user's images in one file, one in so many is kept for the test."""


@dataclass(frozen=True)
class TrainAndTest:
    """Images float32 [N, C, H, W] and labels int64 [N] to train on, and others to test with."""

    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    described: str


def train_and_test(
    *,
    model: str,
    data: str = "embedded",
    test_data: str | None = None,
    dataset: str | None = None,
    folder: Path | str | None = None,
) -> TrainAndTest:
    """The training and test images of a data set, or of a user's `data` and `test_data`.

    Without `test_data`, a fifth of the user's own images is held out, always the same one, and a note says so.
    """
    if not is_user_data(data):
        test = load_test_images(model=model, data=test_data or data, dataset=dataset, folder=folder)
        name = dataset or ("mnist" if is_user_model(model) else model_entry(model).dataset)
        train = load(name, "train", source=data, folder=folder)  # type: ignore[arg-type]  # load checks it
        return TrainAndTest(train.images, train.labels, *test, f"{data} training images of {name}")
    images, labels = load_test_images(model=model, data=data, dataset=dataset, folder=folder)
    if test_data is not None:
        return TrainAndTest(images, labels, *load_test_images(model=model, data=test_data), data)
    if len(images) < HELD_OUT:
        raise ValueError(
            f"{data} must hold at least {HELD_OUT} images, of which a fifth is held out for the test, but has "
            f"{len(images)}; give --test-data."
        )
    say(f"note: a fifth of the images of {data} is held out for the test; --test-data names others", file=sys.stderr)
    # At random, because the images may be in the order of their classes.
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    held_out, rest = (part.sort().values for part in order.tensor_split([len(images) // HELD_OUT]))
    described = f"{data}, a fifth held out"
    return TrainAndTest(images[rest], labels[rest], images[held_out], labels[held_out], described)
