"""Retraining through a multiplier: weights, resumed runs, divergence, files, and mistakes in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from integer_layers import ama1_design, ama1_table
from torch import nn
from torch.nn import functional

from circuits import Design, DesignError, design
from cnn_eval import (
    DataError,
    FinetuneSettings,
    approximate,
    finetune,
    load_quantized,
    predict,
    quantize,
    recover,
    save_quantized,
)
from cnn_eval.commands import main
from cnn_eval.layers.approximate_layers import approximate_layers
from cnn_eval.models.checkpoints import restore_checkpoint
from cnn_eval.models.inference import logits
from cnn_eval.models.training_loop import DivergedError
from cnn_eval.quantized.quantized_layers import layers_of_integers

SETTINGS = FinetuneSettings(epochs=3, batch_size=16, learning_rate=5e-3, threads=1)
BROKEN = Design(format=None, width=8, truncate_columns=9, name="broken")
NET = """
from torch import nn


def build():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 2)
    )
"""


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 2)
    ).eval()


@pytest.fixture(scope="module")
def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Images 8 x 8 that are brighter in the upper or in the lower half."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(160, 1, 8, 8, generator=generator)
    labels = torch.arange(160) % 2
    images[labels == 0, :, :4] *= 0.6
    images[labels == 1, :, 4:] *= 0.6
    return images, labels


def trained(images: torch.Tensor, labels: torch.Tensor, *, steps: int = 40) -> nn.Module:
    model = small().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def quantized(data: tuple[torch.Tensor, torch.Tensor]) -> nn.Module:
    return quantize(trained(*data), data[0], scheme="uint8")


def loss_of(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return float(functional.cross_entropy(logits(model, images), labels))


@pytest.mark.parametrize("backward", ["ste", "table1d", "table2d"])
def test_retraining_lowers_the_loss_of_a_quantised_network(
    backward: str, quantized: nn.Module, data: tuple[torch.Tensor, torch.Tensor]
) -> None:
    network = approximate(quantized, BROKEN, layers="all")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    losses: list[float] = []
    result = finetune(
        network, *data, replace(SETTINGS, backward=backward), on_epoch=lambda report: losses.append(report.loss)
    )
    assert loss_of(result, *data) < 0.8 * loss_of(network, *data)
    assert len(losses) == 3
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key  # the network that was given is as it was
    after = result.state_dict()
    changed = {key for key in before if not torch.equal(after[key], before[key])}
    assert changed == {"0.weight", "0.bias", "5.weight", "5.bias"}  # scales are kept
    assert not result.training
    assert {layer.backward for layer in approximate_layers(result).values()} == {"ste"}


def test_one_step_is_that_of_a_reference_over_codes() -> None:
    """One linear layer of codes, one batch, SGD: the step from the gradient of sums through the design's own table."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    images, labels = torch.rand(6, 1, 2, 2), torch.tensor([0, 1, 1, 0, 1, 0])
    multiplier = ama1_design(8, 8, signed=True)
    network = approximate(quantize(model, images, scheme="int8", calibration="minmax"), multiplier, layers="all")
    settings = FinetuneSettings(
        epochs=1, batch_size=6, learning_rate=0.1, optimizer="sgd", backward="ste", warmup=0.0, threads=1
    )
    result = finetune(network, images, labels, settings)
    layer = layers_of_integers(network)["1"]
    s_x, s_w = float(layer.input_scale), layer.weight_scale.numpy().astype(np.float64)
    x = np.clip(np.rint(images.flatten(1).numpy() / np.float32(s_x)), -127, 127).astype(int)
    weight = model[1].weight.detach().numpy()
    w = np.clip(np.rint(weight / layer.weight_scale.numpy()[:, None]), -127, 127).astype(int)
    sums = ama1_table(8, 8, True)[x[:, None, :] + 128, w[None] + 128].sum(2)
    y = sums * s_x * s_w
    soft = np.exp(y - y.max(1, keepdims=True))
    soft /= soft.sum(1, keepdims=True)
    by_y = (soft - np.eye(2)[labels.numpy()]) / 6
    step = by_y.T @ (x * s_x)
    # Nesterov's first step with momentum 0.9 is (1 + 0.9) times the gradient.
    assert np.allclose(result[1].weight.detach().numpy(), weight - 0.1 * 1.9 * step, atol=1e-6)


def test_float_designs_train_batch_normalisation_too(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    network = approximate(trained(*data, steps=10), design("axfpm"), layers="all", compute="lowered")
    result = finetune(network, *data, SETTINGS)
    assert loss_of(result, *data) < loss_of(network, *data)
    assert not torch.equal(result[1].running_mean, network[1].running_mean)
    assert {layer.design for layer in approximate_layers(result).values()} == {design("axfpm")}


@pytest.mark.parametrize("recalibrated", [0, 40])
def test_a_run_that_was_killed_continues_bit_for_bit(
    recalibrated: int, quantized: nn.Module, data: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    network = approximate(quantized, BROKEN)
    settings = replace(SETTINGS, recalibrate=recalibrated)
    whole = finetune(network, *data, settings)
    path = tmp_path / "checkpoint.safetensors"

    def stop(report: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(network, *data, settings, checkpoint=path, on_epoch=stop)
    epochs: list[int] = []
    resumed = finetune(network, *data, settings, checkpoint=path, on_epoch=lambda report: epochs.append(report.number))
    assert epochs == [2, 3]
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key
    assert torch.equal(network.state_dict()["0.input_scale"], whole.state_dict()["0.input_scale"]) == (not recalibrated)
    with pytest.raises(ValueError, match=r"a run must be resumed with its own settings, but .* start="):
        finetune(approximate(quantized, replace(BROKEN, truncate_columns=8)), *data, settings, checkpoint=path)
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    with pytest.raises(DataError, match="is not a complete checkpoint"):
        finetune(network, *data, settings, checkpoint=path)


class _Explodes(nn.Module):
    """A linear layer whose output is nan after `steps` forward passes in training mode."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 2)
        self.steps, self.calls = steps, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(images.flatten(1))
        if self.training:
            self.calls += 1
            if self.calls > self.steps:
                out = out * torch.nan
        return out


def test_a_run_that_diverges_keeps_the_last_good_checkpoint(
    data: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    network = approximate(_Explodes(steps=12), design("exact"), layers="all")  # 10 steps an epoch
    message = (
        f"training must keep the loss finite, but it is nan in epoch 2 of 3; choose a learning rate below 0.005; the "
        f"checkpoint of epoch 1 is kept in {path}."
    )
    with pytest.raises(DivergedError, match=f"^{re.escape(message)}$"):
        finetune(network, *data, SETTINGS, checkpoint=path)
    model = approximate(_Explodes(steps=99), design("exact"), layers="all")
    settings = json.loads(_metadata(path)["settings"])
    optimizer = torch.optim.Adam(model.parameters())
    assert restore_checkpoint(path, FinetuneSettings(**settings), model, optimizer) == 1
    assert all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def test_weights_that_are_not_finite_end_a_run(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(0)
    network = approximate(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), design("exact"), layers="all")
    settings = replace(SETTINGS, learning_rate=1.0, optimizer="sgd")
    with pytest.raises(
        DivergedError, match=r"^training must keep the loss finite, but (it is|a weight is) .* in epoch 1"
    ):
        finetune(network, data[0] * 1e30, data[1], settings)


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stream:
        return dict(stream.metadata())


def test_networks_and_images_that_cannot_be_retrained_are_refused(
    quantized: nn.Module, data: tuple[torch.Tensor, torch.Tensor]
) -> None:
    network = approximate(quantized, BROKEN)
    with pytest.raises(DesignError, match=r"^the network to retrain must have approximate layers, but has none;"):
        finetune(quantized, *data)
    with pytest.raises(DesignError, match=r"^retraining needs images, but got none; give some.$"):
        finetune(network, data[0][:0], data[1][:0])
    with pytest.raises(
        ValueError, match=r"^the model must have a class for every label, but has 2 classes and image 0"
    ):
        finetune(network, data[0], data[1] + 2)
    with pytest.raises(DesignError, match=r"^layer 0, backward='slope': gradients must be ste, table1d or table2d"):
        finetune(network, *data, replace(SETTINGS, backward="slope"))
    with pytest.raises(
        DesignError, match=r"^recalibrate must be at most the number of training images, 160, but is 161"
    ):
        finetune(network, *data, replace(SETTINGS, recalibrate=161))
    with pytest.raises(
        DesignError, match=r"^approximate layers compute in float32 with contiguous images, but got prec"
    ):
        FinetuneSettings(precision="bfloat16")


def test_a_recovered_network_keeps_its_gain_and_its_file(
    quantized: nn.Module, data: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    network = recover(approximate(quantized, BROKEN), data[0][:40])
    result = finetune(network, *data, replace(SETTINGS, epochs=1))
    assert torch.equal(result.state_dict()["0.recovery_gain"], network.state_dict()["0.recovery_gain"])
    save_quantized(result, tmp_path / "q.safetensors")
    loaded = approximate(load_quantized(small(), tmp_path / "q.safetensors"), BROKEN)
    assert torch.equal(logits(loaded, data[0]), logits(result, data[0]))


# ---- the command


@pytest.fixture
def folder(user_module: Callable[[str, str], Path], data: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> Path:
    from safetensors.torch import save_file

    user_module("smallnet", NET)
    (tmp_path / "broken.toml").write_text(BROKEN.to_toml())
    save_file({"images": data[0], "labels": data[1]}, tmp_path / "own.safetensors")
    save_file(dict(trained(*data).state_dict()), tmp_path / "trained.safetensors")
    return tmp_path


def command(folder: Path, *more: object) -> list[str]:
    files = ("--weights", folder / "trained.safetensors", "--data", folder / "own.safetensors")
    quick = ("--batch-size", 16, "--learning-rate", 0.005, "--threads", 1, "--layers", "all")
    return [*map(str, ("finetune", folder / "broken.toml", "--model", "smallnet:build", *files, *quick, *more))]


def test_the_command_writes_weights_that_every_command_loads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "new.safetensors"
    quantize_options = ("--quantize", "uint8", "--calibration-images", 100)
    assert main(command(folder, *quantize_options, "--epochs", 2, "--format", "json", "--out", out)) == 0
    printed = capsys.readouterr()
    assert "note: a fifth of the images of" in printed.err
    document = json.loads(printed.out)
    assert f"{out}  sha256 " in printed.err
    rows = {row["network"]: row for row in document["results"]}
    assert list(rows) == ["float", "exact uint8 8x8", "before", "after"]
    assert rows["after"]["images"] == 32
    assert rows["after"]["difference_to_before"] == pytest.approx(
        (rows["after"]["correct"] - rows["before"]["correct"]) / 32
    )
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["settings"]["backward"] == "table1d"
    assert record["accuracy"]["after"]["correct"] == rows["after"]["correct"]
    assert [path.name for path in folder.glob("new*")].count("new.checkpoint.safetensors") == 0
    own = ["--model", "smallnet:build", "--data", str(folder / "own.safetensors"), "--weights", str(out)]
    assert main(["accuracy", str(folder / "broken.toml"), *own, "--layers", "all", "--format", "json"]) == 0
    again = json.loads(capsys.readouterr().out)["results"][0]
    # The file's own images: the held-out fifth and the others.
    assert again["correct"] >= rows["after"]["correct"]
    held_out = torch.randperm(160, generator=torch.Generator().manual_seed(0))[:32].sort().values
    from safetensors.torch import load_file

    own_data = load_file(folder / "own.safetensors")
    network = approximate(load_quantized(small(), out), BROKEN, layers="all")
    right = predict(network, own_data["images"][held_out]) == own_data["labels"][held_out]
    assert int(right.sum()) == rows["after"]["correct"]
    assert main(command(folder, *quantize_options, "--out", out)) == 2
    assert capsys.readouterr().err.endswith(
        f"error: {out} exists already; finetune with --fresh to replace it or choose another --out.\n"
    )


def test_a_users_float_network_is_retrained_by_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "float.safetensors"
    arguments = command(folder, "--epochs", 1, "--out", out, "--test-data", folder / "own.safetensors")
    arguments[1] = "bfloat16"
    assert main(arguments) == 0
    assert "retrained through bfloat16: 1 epoch of 160 images, 160 test images" in capsys.readouterr().out
    own = ["--model", "smallnet:build", "--data", str(folder / "own.safetensors"), "--weights", str(out)]
    assert main(["accuracy", "bfloat16", *own, "--layers", "all"]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--out", "new.pt"], "--out must end in .safetensors, but is new.pt; rename it."),
        (["--learning-rate", "0"], "learning_rate must lie from 1e-09 to 1, but got 0.0; correct it."),
        (["--recover", "20"], "--recover must be left out for a float network, whose weights have no place for gains;"),
        ([], "layer 0 is not quantised and needs a design with a float format, but broken has format=None;"),
        (["--quantize", "int8"], "a network quantised to int8 of 8 x 8 bits needs signed designs of these widths"),
        (["--quantize", "uint8", "--train-images", "9999"], "1 <= samples <= 128 must hold for the training images"),
        (["--quantize", "uint8", "--backward", "slope"], "layer 0, backward='slope': gradients must be ste, table1d"),
        (["--quantize", "uint8", "--test-data", "nothere.safetensors"], "nothere.safetensors"),
    ],
)
def test_mistakes_of_finetune_are_one_line_and_leave_nothing(
    more: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    if "--quantize" in more:
        more = [*more, "--calibration-images", "100"]
    out = [] if "--out" in more else ["--out", "new.safetensors"]
    assert main(command(folder, *out, *more)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert lines[-1].startswith(f"error: {message}")
    assert all(line.startswith("note: ") for line in lines[:-1])
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} == {
        path for path in before if path.name != "__pycache__"
    }


def test_networks_that_are_trained_in_another_form_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finetune", "bfloat16", "--model", "dorefa_full", "--out", str(tmp_path / "new.safetensors")]) == 2
    assert capsys.readouterr().err == (
        "error: dorefa_full is trained in another form than it is used in and cannot be retrained through a design; "
        "choose another model.\n"
    )
