"""Training: it learns, resumes to the very same weights, overwrites nothing and refuses damaged checkpoints."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from cnn_eval import MODELS, DataError, load_model, predict
from cnn_eval.commands import main
from cnn_eval.data.loading import LabelledImages, load
from cnn_eval.models import training
from cnn_eval.models.augmentation import augment
from cnn_eval.models.registry import has_committed_weights, weights_record
from cnn_eval.models.training import train_to_file
from cnn_eval.models.training_loop import EpochReport, train
from cnn_eval.models.training_settings import TrainingSettings

TINY = TrainingSettings(epochs=3, batch_size=64, data="embedded", threads=1, seed=5)


@pytest.fixture(scope="module")
def images() -> LabelledImages:
    full = load(split="train")
    return replace(full, images=full.images[:400], labels=full.labels[:400])


@pytest.fixture
def few(images: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every load return the few images."""
    monkeypatch.setattr(training, "load", lambda *_, **__: images)


@pytest.mark.slow
def test_training_lowers_the_loss_and_classifies_most_training_images(images: LabelledImages) -> None:
    epochs: list[EpochReport] = []
    done: list[int] = []
    settings = replace(TINY, epochs=12, batch_size=32, rotation=0, shift=0, scale=0)
    model = train(settings, images, on_epoch=epochs.append, on_batch=done.append)
    assert [epoch.number for epoch in epochs] == list(range(1, 13))
    assert epochs[-1].loss < 0.3 * epochs[0].loss
    assert float((predict(model, images.images) == images.labels).float().mean()) > 0.9
    assert (done[-1], len(done)) == (12 * 400, 12 * 13)
    assert not model.training


def test_resumed_training_gives_the_weights_of_an_uninterrupted_one(images: LabelledImages, tmp_path: Path) -> None:
    whole = train(TINY, images).state_dict()
    checkpoint = tmp_path / "checkpoint.safetensors"

    def stop(epoch: EpochReport) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TINY, images, checkpoint=checkpoint, on_epoch=stop)
    epochs: list[EpochReport] = []
    torch.manual_seed(99)  # the global generator must not matter
    resumed = train(TINY, images, checkpoint=checkpoint, on_epoch=epochs.append).state_dict()
    assert [epoch.number for epoch in epochs] == [3]
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    other = train(replace(TINY, seed=6), images).state_dict()
    assert not torch.equal(whole["conv1.weight"], other["conv1.weight"])


def test_checkpoint_of_other_settings_is_refused(images: LabelledImages, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    train(replace(TINY, epochs=1), images, checkpoint=path)
    message = (
        f"a run must be resumed with its own settings, but {path} was written with epochs=1; "
        "repeat them, delete it or train with --fresh."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(TINY, images, checkpoint=path)


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_damaged_checkpoint_is_refused(damage: str, images: LabelledImages, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    train(replace(TINY, epochs=1), images, checkpoint=path)
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-1], "altered": content[:-1] + b"\x55", "empty": b""}[damage])
    message = f"{path} is not a complete checkpoint: it is truncated or altered; delete it or train with --fresh."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        train(replace(TINY, epochs=1), images, checkpoint=path)


@pytest.mark.usefixtures("few")
def test_files_can_be_loaded_and_are_not_overwritten(images: LabelledImages, tmp_path: Path) -> None:
    settings = replace(TINY, epochs=1)
    record = train_to_file(settings, tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lenet5.json", "lenet5.safetensors"]
    correct = int(
        (predict(load_model("lenet5", tmp_path / "lenet5.safetensors"), images.images) == images.labels).sum()
    )
    assert record["accuracy"] == {"embedded": {"correct": correct, "images": 400, "percent": round(correct / 4, 2)}}
    message = (
        f"{tmp_path / 'lenet5.safetensors'} exists already; train with --fresh to replace it or choose another --out."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train_to_file(settings, tmp_path, progress=False)
    assert train_to_file(settings, tmp_path, fresh=True, progress=False)["sha256"] == record["sha256"]


@pytest.mark.usefixtures("few")
def test_command_line_trains_and_tells_mistakes_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["lenet5", "--epochs", "1", "--data", "embedded", "--threads", "1", "--out", str(tmp_path)]
    assert main(["train", *arguments]) == 0
    assert re.search(r"accuracy on the embedded test set: \d+\.\d\d % \(\d+/400\)", capsys.readouterr().out)
    assert main(["train", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["train", "lenet", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == ("error: unknown model 'lenet'; nearest: lenet5, alexnet, resnet8.\n")
    blocked = tmp_path / "lenet5.json"
    assert main(["train", *arguments[:-1], str(blocked)]) == 2
    assert capsys.readouterr().err == (
        f"error: the output folder must be writable, but {blocked} is not (File exists); choose another.\n"
    )
    with pytest.raises(SystemExit, match="2"):
        main(["train", "lenet5", "--epochs", "0"])
    assert capsys.readouterr().err == (
        "error: argument --epochs: it must be an integer of at least 1, but got '0'; "
        "see python -m cnn_eval train --help\n"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs must lie from 1 to 1e+06, but got 0; correct it."),
        ({"learning_rate": 0.0}, "learning_rate must lie from 1e-09 to 1, but got 0.0; correct it."),
        ({"shift": float("nan")}, "shift must lie from 0 to 1000, but got nan; correct it."),
        ({"data": "web"}, "unknown source 'web'; available: embedded, full."),
        ({"crop": -1}, "crop must lie from 0 to 1000, but got -1; correct it."),
        (
            {"precision": "float23"},
            "unknown precision 'float23'; nearest: float32, bfloat16.",
        ),
    ],
)
def test_settings_outside_their_ranges_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TrainingSettings(**fields)  # type: ignore[arg-type]


def test_training_an_unknown_model_names_the_nearest_ones(images: LabelledImages) -> None:
    message = "unknown model 'alexnett'; nearest: alexnet, alexnet_smooth, lenet5."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(replace(TINY, model="alexnett"), images)


def test_recipes_are_those_of_the_committed_weights() -> None:
    for name in MODELS:
        assert MODELS[name].recipe.model == name
        if not has_committed_weights(name):
            continue
        recorded = weights_record(name)["settings"]
        # Older records do not name the layout of images, which followed from the precision.
        older = {**asdict(TrainingSettings(model=name)), "channels_last": recorded.get("precision") == "bfloat16"}
        assert asdict(MODELS[name].recipe) == {**older, **recorded}


@pytest.mark.parametrize("name", ["alexnet", "dorefa_full", "resnet8"])
def test_photograph_recipes_resume_to_the_same_weights(name: str, tmp_path: Path) -> None:
    """With dropout, batch normalisation, mixed precision, random crops and momentum; a few images suffice."""
    full = load("cifar10", "train")
    photographs = replace(full, images=full.images[:48], labels=full.labels[:48])
    settings = replace(MODELS[name].recipe, epochs=2, batch_size=16, data="embedded")
    whole = train(settings, photographs).state_dict()
    checkpoint = tmp_path / "checkpoint.safetensors"

    def stop(epoch: EpochReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, photographs, checkpoint=checkpoint, on_epoch=stop)
    torch.manual_seed(99)  # the global generator must not matter
    resumed = train(settings, photographs, checkpoint=checkpoint).state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert whole.keys() == MODELS[name].factory().state_dict().keys()


def test_crops_and_mirrors_move_by_whole_pixels() -> None:
    settings = replace(TINY, rotation=0, shift=0, scale=0, crop=2, mirror=True)
    picture = torch.arange(1, 26, dtype=torch.float32).reshape(1, 1, 5, 5).repeat(400, 2, 1, 1)
    changed = augment(picture, settings, torch.Generator().manual_seed(4))
    assert torch.equal(changed[:, 0], changed[:, 1])
    padded = torch.zeros(9, 9)
    padded[2:7, 2:7] = picture[0, 0]
    possible = {
        tuple(form[top : top + 5, left : left + 5].flatten().tolist())
        for form in (padded, padded.flip(1))
        for top in range(5)
        for left in range(5)
    }
    seen = {tuple(image[0].flatten().tolist()) for image in changed}
    assert seen <= possible
    assert len(seen) == len(possible) == 50


def test_augmentation_stays_within_its_bounds(images: LabelledImages) -> None:
    settings = replace(TINY, rotation=15, shift=3, scale=0.2)
    changed = augment(images.images, settings, torch.Generator().manual_seed(1))
    assert changed.shape == images.images.shape
    assert not torch.equal(changed, images.images)
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1 + 1e-6
    still = replace(TINY, rotation=0, shift=0, scale=0)
    assert augment(images.images, still, torch.Generator()) is images.images
    # a dot moves by at most the stated number of pixels
    dot = torch.zeros(200, 1, 29, 29)
    dot[:, :, 14, 14] = 1
    moved = augment(dot, replace(still, shift=2.0), torch.Generator().manual_seed(1))
    assert float(moved[:, :, 11:18, 11:18].sum()) == pytest.approx(200, rel=1e-4)
    rows = (moved.sum((1, 3)) * torch.arange(29)).sum(1) - 14
    assert 1.5 < float(rows.abs().max()) <= 2.001
