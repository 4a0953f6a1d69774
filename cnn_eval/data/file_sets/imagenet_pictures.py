"""Twenty pictures of ImageNet with their labels, from the Foolbox package."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.file_sets.file_set import FileSet
from cnn_eval.data.sources.pypi_wheel import PypiWheel

__all__ = ["IMAGENET_PICTURES", "PIXELS", "load_imagenet_pictures"]

PIXELS = 224
"""Height and width of the pictures as networks take them."""
_SHORTER_SIDE = 256
"""Pixels of the shorter side before the middle is cut out, as torchvision's evaluation does it."""
_FILES = (
    ("imagenet_00_243.jpg", 86225, "28b7b933c8028c6e20bf74a86a709eda42ce99f14c8742cb657cb386f08a4c9d"),
    ("imagenet_01_559.jpg", 60981, "5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6"),
    ("imagenet_02_438.jpg", 38174, "ccef0734c1a65549c6cb5adb0f5d9b1c0b2e2104aba50a9e5f9202dc6d4532ed"),
    ("imagenet_03_990.jpg", 91433, "c7f0b2f1e9ee39d8f900759e8983afa2e4a2d7de090060e8bb947f6e90cace5f"),
    ("imagenet_04_949.jpg", 64224, "a7f62f3c1d214de4718c7253871ab38209283249e131faf65b8f2b7fdc970669"),
    ("imagenet_05_853.jpg", 82330, "8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131"),
    ("imagenet_06_609.jpg", 91478, "fb061102a4e58b3ed942bb2a4f9542e1e1acdc8f225ef95498e93889290e192f"),
    ("imagenet_07_609.jpg", 93555, "2c297ad1e5c4804a647e9b34bc02ee2fc348b05a4d49050d170fb61c948efa5c"),
    ("imagenet_08_915.jpg", 92322, "c6a3411a3987799f0de45adc142f00ca412c3e14073c635e2adfae1f3913180c"),
    ("imagenet_09_455.jpg", 130424, "ace3716b60ac5843269b270e17020e4f8138440cd30ef3487f7d6e54da9745a4"),
    ("imagenet_10_541.jpg", 99497, "f325c71d9f4290ee45e99bd7ad42f4bffe513b1450ad21e7bd61c7cb137395d9"),
    ("imagenet_11_630.jpg", 27498, "892dff58fc528fe63d2df0c783aa3eca2342637798578ce01763fbc0553eda01"),
    ("imagenet_12_741.jpg", 112576, "6c256e17545b25bbf2e06cf6513ff48d049583569515ac4d4c3a52aea804a529"),
    ("imagenet_13_471.jpg", 72748, "52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81"),
    ("imagenet_14_129.jpg", 18186, "ad9371d813bf24b0365ee2f78f28c08718ee7c5975f060caa16c3f264e828139"),
    ("imagenet_15_99.jpg", 111008, "4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e"),
    ("imagenet_16_251.jpg", 73665, "ce3440a3b7beb6ca3009817504c44d39fa789e7c2f70a2eef7e2f9cc9a87b129"),
    ("imagenet_17_22.jpg", 30745, "b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5"),
    ("imagenet_18_317.jpg", 35421, "b9412f92f0b1c3faede45b55a44940977daa744f2040118d0538cf597fca785d"),
    ("imagenet_19_305.jpg", 38110, "e1f58f00e2e47ce930d7ecab0e46a78316054f68c10d0742e87c1cc092324556"),
)
"""(name, bytes, SHA-256); a name ends in the picture's class."""

IMAGENET_PICTURES = FileSet(
    name="imagenet_pictures",
    title="twenty labelled pictures of ImageNet",
    files=tuple(CanonicalFile(name=name, size=size, sha256=digest) for name, size, digest in _FILES),
    sources=(
        PypiWheel(
            specifier="foolbox==3.3.4",
            sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
            prefix="foolbox/data/",
        ),
    ),
    by_hand="the files foolbox/data/imagenet_*.jpg of https://pypi.org/project/foolbox/3.3.4",
    origin="ImageNet (Russakovsky et al., IJCV 2015), chosen by Foolbox (Rauber et al., 2017)",
)


def load_imagenet_pictures(folder: Path | str | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(images float32 [20, 3, 224, 224] in [0, 1], labels int64 [20], 0 to 999).

    The shorter side is scaled to 256 pixels, and the middle is cut out. Raises DataError, with how to fetch the files,
    where they are missing.
    """
    contents = IMAGENET_PICTURES.read(folder)
    images = torch.from_numpy(np.stack([_picture(content) for content in contents.values()]))
    labels = [int(name.removesuffix(".jpg").rpartition("_")[2]) for name in contents]
    return images, torch.tensor(labels)


def _picture(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        factor = _SHORTER_SIDE / min(picture.size)
        size = (round(picture.width * factor), round(picture.height * factor))
        scaled = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    left, top = (round((side - PIXELS) / 2) for side in size)
    pixels = np.asarray(scaled.crop((left, top, left + PIXELS, top + PIXELS)), dtype=np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) / np.float32(255))
