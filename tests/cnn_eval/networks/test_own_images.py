"""A user's own images as arrays, tensors or pictures: conversions are noted, and mistakes are one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cnn_eval import DataError, load_images
from cnn_eval.commands import main
from cnn_eval.data.own_images.user_images import load_user_images

GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])
SCALED = torch.from_numpy(PIXELS.astype(np.float32) / np.float32(255))


def check(path: Path, note: str, capsys: pytest.CaptureFixture[str], expected: torch.Tensor = SCALED) -> None:
    """Asserts that the file gives `expected` and LABELS, with the note about what was converted."""
    images, labels = load_user_images(path)
    assert images.dtype == torch.float32
    assert images.is_contiguous()
    assert torch.equal(images, expected)
    assert labels.dtype == torch.int64
    assert labels.tolist() == LABELS.tolist()
    noted = f"note: images of {path} are {note}\n" if note else ""
    assert capsys.readouterr().err == noted
    load_user_images(path, notes=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y")])
def test_arrays_of_bytes_are_scaled(names: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, **dict(zip(names, (PIXELS, LABELS.astype(np.int32)), strict=True)))
    check(path, "uint8 [6, 3, 8, 8]: divided by 255", capsys)


def test_channels_may_come_last_and_labels_may_be_a_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.npz"
    np.savez_compressed(path, images=PIXELS.transpose(0, 2, 3, 1), labels=LABELS.astype(np.uint8)[:, None], other=[1])
    check(path, "uint8 [6, 8, 8, 3]: the last axis taken as channels, divided by 255", capsys)


def test_grey_images_of_other_precisions_are_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.npy"
    grey = PIXELS[:, 0] / 255.0
    np.save(path, grey.astype(">f8"))  # of another byte order
    np.save(tmp_path / "y.npy", LABELS)
    expected = torch.from_numpy(grey.astype(np.float32))[:, None]
    check(path, "float64 [6, 8, 8]: taken as one channel, rounded to float32", capsys, expected)


@pytest.mark.parametrize(("name", "labels"), [("mine", "mine_labels"), ("test_images", "test_labels")])
def test_labels_are_found_beside_an_array(
    name: str, labels: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / f"{name}.npy", SCALED.numpy())
    np.save(tmp_path / f"{labels}.npy", LABELS)
    check(tmp_path / f"{name}.npy", "", capsys)


def test_tensors_of_bytes_are_scaled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.safetensors"
    save_file({"images": torch.from_numpy(PIXELS), "labels": torch.from_numpy(LABELS).to(torch.int32)}, path)
    check(path, "uint8 [6, 3, 8, 8]: divided by 255", capsys)


def pictures(folder: Path, *, mode: str = "RGB") -> Path:
    """The six images as FOLDER/CLASS/NAME.png, two for each of three classes."""
    for index, pixels in enumerate(PIXELS):
        place = folder / "pictures" / ("cat", "dog", "owl")[LABELS[index]]
        place.mkdir(parents=True, exist_ok=True)
        array = pixels.transpose(1, 2, 0) if mode == "RGB" else pixels[0]
        Image.fromarray(np.ascontiguousarray(array)).save(place / f"{index}.png")
        (place / "notes.txt").write_text("no picture")
    return folder / "pictures"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_of_the_classes_alternate(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path, mode=mode)
    channels = 3 if mode == "RGB" else 1
    check(folder, f"uint8 [6, {channels}, 8, 8]: divided by 255", capsys, SCALED[:, :channels])
    assert torch.equal(load_images(str(folder), samples=4)[0], SCALED[:4, :channels])


def test_one_coloured_picture_makes_all_coloured(tmp_path: Path) -> None:
    folder = pictures(tmp_path, mode="L")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(folder / "owl" / "9.png")
    images, labels = load_user_images(folder)
    assert images.shape == (7, 3, 8, 8)
    assert torch.equal(images[0, 0], images[0, 2])
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 2]
    assert images[6, :, 0, 0].tolist() == [1, 0, 0]


NET = """
from torch import nn


def build():
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(12, 3))


def cifar():
    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(12, 10))
"""


def test_commands_take_a_folder_of_pictures(
    user_module: Callable[[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user_module("ownimages", NET)
    data = ["--data", str(pictures(tmp_path))]
    model = ["--model", "ownimages:build", "--layers", "all"]
    assert main(["accuracy", "bfloat16", *model, *data]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("note: images of") == 1
    assert "6 " in printed.out
    # Calibration reads the images again, but says so only once.
    assert main(["accuracy", "u8_mae0.037", "--quantize", "auto", "--calibration-images", "6", *model, *data]) == 0
    assert capsys.readouterr().err.count("divided by 255") == 1


def test_a_users_network_runs_on_a_known_data_set(
    user_module: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    user_module("ownimages", NET)
    model = ["--model", "ownimages:cifar", "--layers", "all", "--dataset", "cifar10", "--samples", "20"]
    assert main(["accuracy", "bfloat16", *model]) == 0
    assert main(["accuracy", "u8_mae0.037", "--quantize", "auto", "--calibration-images", "20", *model]) == 0
    more = ["--train-images", "40", "--out", str(tmp_path / "new.safetensors")]
    assert main(["finetune", "u8_mae0.037", "--quantize", "auto", "--calibration-images", "20", *model, *more]) == 0
    assert main(["accuracy", "bfloat16", *model[:-4], "--dataset", "cifar", "--samples", "20"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: unknown data set 'cifar'; nearest: cifar10."


def write(tmp_path: Path, name: str, content: bytes) -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def npz(tmp_path: Path, **arrays: object) -> Path:
    np.savez(tmp_path / "own.npz", **arrays)  # type: ignore[arg-type]
    return tmp_path / "own.npz"


def npy(tmp_path: Path, images: object, labels: object | None = None) -> Path:
    np.save(tmp_path / "own.npy", images)  # type: ignore[arg-type]
    if labels is not None:
        np.save(tmp_path / "own_labels.npy", labels)  # type: ignore[arg-type]
    return tmp_path / "own.npy"


def odd_size(tmp_path: Path) -> Path:
    folder = pictures(tmp_path)
    Image.new("RGB", (9, 8)).save(folder / "owl" / "2.png")
    return folder


def damaged_picture(tmp_path: Path) -> Path:
    folder = pictures(tmp_path)
    path = folder / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    return folder


def no_picture(tmp_path: Path) -> Path:
    folder = pictures(tmp_path)
    (folder / "zebra").mkdir()
    return folder


OBJECTS = np.array([{}, 1], dtype=object)
MISTAKES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "names": (
        lambda p: npz(p, a=PIXELS, b=LABELS),
        "{path} must hold arrays images and labels, or x and y, but holds a, b",
    ),
    "pickled": (
        lambda p: npz(p, x=OBJECTS, y=LABELS),
        "{path} must be a readable .npz file, but: Object arrays cannot",
    ),
    "no archive": (
        lambda p: write(p, "own.npz", b"nothing"),
        "{path} must be a readable .npz file, but: File is not a zip",
    ),
    "text": (
        lambda p: npz(p, x=PIXELS, y=np.array(list("abcabc"))),
        "array y in {path} must hold numbers, but has dtype <U1;",
    ),
    "integers": (
        lambda p: npz(p, x=PIXELS.astype(np.int16), y=LABELS),
        "{path}: images must be float32 [N, C, H, W], but are int16 [6, 3, 8, 8]; convert them.",
    ),
    "float labels": (
        lambda p: npz(p, x=PIXELS, y=LABELS + 0.5),
        "{path}: labels must be int64 [6], but are float64 [6];",
    ),
    "too few labels": (
        lambda p: npz(p, x=PIXELS, y=LABELS[:5]),
        "{path}: labels must be int64 [6], but are int64 [5];",
    ),
    "flat": (
        lambda p: npz(p, x=PIXELS.reshape(6, -1), y=LABELS),
        "{path}: images must be float32 [N, C, H, W], but are",
    ),
    "none": (lambda p: npz(p, x=PIXELS[:0], y=LABELS[:0]), "{path}: there must be an image, but images are float32 [0"),
    "no labels": (
        lambda p: npy(p, PIXELS),
        "{path} must have its labels beside it, but there is no own_labels.npy; save",
    ),
    "damaged": (lambda p: write(p, "own.npy", b"\x93NUMPY"), "{path} must be a NumPy array file, but: "),
    "wrong ending": (
        lambda p: write(p, "own.npy", npz(p, x=PIXELS, y=LABELS).read_bytes()),
        "{path} must be a NumPy array file, but is an archive; call it .npz.",
    ),
    "missing": (lambda p: p / "nothere.npz", "{path}"),
    "sizes": (odd_size, "pictures must be of one size, but "),
    "damaged picture": (damaged_picture, "{path}/dog/1.png must be a picture, but cannot be read ("),
    "empty class": (
        no_picture,
        "{path} must hold a subfolder of pictures for each of two classes or more, but has 4, 1",
    ),
    "no classes": (
        lambda p: p,
        "{path} must hold a subfolder of pictures for each of two classes or more, but has 0, 0",
    ),
}


@pytest.mark.parametrize("how", MISTAKES)
def test_unusable_images_are_refused_in_one_line(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, message = MISTAKES[how]
    path = make(tmp_path)
    assert main(["accuracy", "bfloat16", "--data", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: {message.format(path=path)}")
    with pytest.raises(DataError, match=re.escape(message.format(path=path)[:40])):
        load_user_images(path)
