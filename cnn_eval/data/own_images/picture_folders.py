"""Reads a folder of pictures by class: one subfolder for each class, in the order of their names."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from circuits.support.files import open_file
from cnn_eval.support.verified_files import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["read_pictures"]

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_GREY = ("1", "L")
_LARGEST_PICTURE = 256 * 1024 * 1024


def read_pictures(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """(images uint8 [N, C, H, W], labels int64 [N]): the pictures FOLDER/CLASS/NAME, all of one size.

    Classes are numbered from 0 in the order of the subfolders' names. The first picture of every class comes first,
    then every second one and so on, so that the first N images are of all classes. Pictures are grey (C = 1) if all of
    them are, otherwise RGB. Raises DataError naming the picture that does not fit.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} must be a folder of pictures by class, but is not there; check the path.")
    classes = [
        [path for path in sorted(each.iterdir()) if path.suffix.lower() in _ENDINGS]
        for each in sorted(folder.iterdir())
        if each.is_dir() and not each.name.startswith(".")
    ]
    if len(classes) < 2 or not all(classes):
        raise DataError(
            f"{folder} must hold a subfolder of pictures for each of two classes or more, but has {len(classes)}, "
            f"{sum(not paths for paths in classes)} of them without a picture; put the pictures there."
        )
    paths = [
        (path, label) for pictures in zip_longest(*classes) for label, path in enumerate(pictures) if path is not None
    ]
    pictures = [_read(path) for path, _ in paths]
    for picture, (path, _) in zip(pictures, paths, strict=True):
        if picture.size != pictures[0].size:
            sizes = " and ".join("x".join(map(str, each.size)) for each in (pictures[0], picture))
            raise DataError(
                f"pictures must be of one size, but {paths[0][0]} and {path} are {sizes}; resize them to what the "
                "network takes."
            )
    mode = "L" if all(picture.mode in _GREY for picture in pictures) else "RGB"
    pixels = np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
    images = torch.from_numpy(pixels)
    images = images[:, None] if mode == "L" else images.permute(0, 3, 1, 2)
    return images.contiguous(), torch.tensor([label for _, label in paths])


def _read(path: Path) -> Image.Image:
    from PIL import Image

    try:
        with open_file(path, limit=_LARGEST_PICTURE) as stream, Image.open(stream) as picture:
            picture.load()
            return picture.copy()
    # Pillow promises no type for what is damaged; a picture of too many pixels is a warning or an error of its own.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path} must be a picture, but cannot be read ({reason}); replace or remove it.") from None
