"""Accuracy and transfer of networks through designs, the command line, a user's own network and images."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from circuits import Design, design
from cnn_eval import MODELS, AccuracyResult, DataError, difference, load_model, measure_transfer, predict
from cnn_eval.commands import main
from cnn_eval.commands.network_subjects import identity, subjects
from cnn_eval.data.loading import load
from cnn_eval.data.own_images.user_images import load_user_images
from cnn_eval.examples.stored_examples import load_examples
from cnn_eval.measure.network_accuracy import evaluate, network
from cnn_eval.models.user_model import check_model, load_user_model

ROOT = Path(__file__).parents[3]
MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.signal = nn.Conv1d(1, 1, 3, padding=1)
        self.conv = nn.Conv2d(1, 2, 5, stride=3)
        self.last = nn.Linear(2 * 8 * 8, 10)

    def forward(self, images):
        rows = self.signal(images.flatten(2)).reshape(images.shape)
        return self.last(torch.relu(self.conv(rows)).flatten(1))

def make():
    return Net()

def number():
    return 3

def spatial():
    return nn.Conv2d(1, 2, 3)

def two():
    return nn.Sequential(nn.Conv2d(1, 2, 28), nn.Flatten())
"""


# ---- accuracy


def test_accuracy_counts_the_predictions_of_the_approximate_network() -> None:
    images = load("mnist", "test")
    for entry in (design("axfpm"), {"conv2": design("heap"), "fc1": design("axfpm_tiled")}):
        result = evaluate(entry, samples=60)
        predicted = predict(network(entry), images.images[:60])
        np.testing.assert_array_equal(result.correct, predicted == images.labels[:60])
        assert result.accuracy > 0.9
        low, high = result.interval
        assert low < result.accuracy <= high


def test_exact_design_classifies_as_torch_does() -> None:
    images = load("mnist", "test")
    gate = predict(network(design("exact"), layers="all"), images.images[:100])
    torch.testing.assert_close(gate, predict(load_model("lenet5"), images.images[:100]))


def test_modes_agree_on_the_classes() -> None:
    for name in ("axfpm", "axfpm_tiled"):
        gate, lowered = (evaluate(design(name), samples=60, compute=compute) for compute in ("gate", "lowered"))
        np.testing.assert_array_equal(gate.correct, lowered.correct)


def test_paired_difference_against_a_known_value() -> None:
    """100 pairs, 12 lost and 4 gained. Agresti, Min 2005 with z = 1.959964: estimate (4 - 12) / 102 = -0.078431;
    standard error sqrt(16 + 1 - 64 / 102) / 102 = 0.0396696."""
    one, other = np.ones(100, dtype=bool), np.ones(100, dtype=bool)
    one[:12], other[12:16] = False, False
    moved, (low, high) = difference(AccuracyResult(one), AccuracyResult(other))
    assert moved == pytest.approx(-0.08)
    assert (low, high) == (pytest.approx(-0.156182, abs=1e-6), pytest.approx(-0.000680, abs=1e-6))
    with pytest.raises(ValueError, match=r"both results must be of the same images, but have 100 and 3; evaluate both"):
        difference(AccuracyResult(one), AccuracyResult(other[:3]))


# ---- transfer


def test_transfer_counts_what_fools_both() -> None:
    victim = design("axfpm_tiled")
    found = measure_transfer(victim, samples=40)
    assert list(found) == ["pgd", "fgsm_smallest"]
    source, attacked = load_model("lenet5"), network(victim)
    for name, result in found.items():
        stored = load_examples(name)
        clean, adversarial, labels = stored.clean[:40], stored.adversarial[:40], stored.labels[:40]
        eligible = (predict(attacked, clean) == labels) & (predict(source, adversarial) != labels)
        assert result.eligible == int(eligible.sum())
        assert result.fooled == int((eligible & (predict(attacked, adversarial) != labels)).sum())
        assert result.interval[0] <= result.rate <= result.interval[1]
    # FACTS 3: PGD at eps .2 transfers almost always, the smallest FGSM far less.
    assert found["pgd"].rate > 0.9 > found["fgsm_smallest"].rate
    assert measure_transfer(design("exact"), samples=10)["pgd"].rate == 1


# ---- the command line


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> SimpleNamespace:
    try:
        status = main(list(arguments))
    except SystemExit as exit:
        status = exit.code
    captured = capsys.readouterr()
    return SimpleNamespace(status=status, out=captured.out, err=captured.err)


def test_accuracy_table_and_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    per_layer = "conv1=heap,conv2=axfpm"
    printed = run(capsys, "accuracy", "axfpm", "exact", per_layer, "--samples", "30")
    assert printed.status == 0
    assert "lenet5, conv layers through the design, bit-accurate products, 30 embedded test images" in printed.out
    lines = printed.out.splitlines()
    assert max(map(len, lines)) <= 110
    assert "conv1=heap (reconstructed)" in printed.out

    document = json.loads(
        run(capsys, "accuracy", "axfpm", "exact", per_layer, "--samples", "30", "--format", "json").out
    )
    assert (document["command"], document["samples"], document["unreplaced"]) == ("accuracy", 30, {})
    first, exact, layered = document["results"]
    result = evaluate(design("axfpm"), samples=30)
    assert first["correct"] == int(result.correct.sum())
    assert first["digest"] == design("axfpm").digest
    assert exact["difference_to_exact"] == 0
    assert layered["digest"] == {"conv1": design("heap").digest, "conv2": design("axfpm").digest}
    assert any(line.split()[:2] == ["axfpm", str(first["correct"])] for line in lines)


def test_own_cells_are_named_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A cell that is AMA5 under another name makes axfpm; with A and B exchanged it makes something else."""
    path = tmp_path / "cells.toml"
    path.write_text('[cells.like]\nsum = "B"\ncarry = "A"\n[cells.mirror]\nsum = "A"\ncarry = "B"\n', encoding="utf-8")
    designs = ["like_array", "axfpm", "conv1=mirror_array"]
    arguments = ["accuracy", *designs, "--cells", str(path), "--samples", "20", "--format", "json"]
    like, axfpm, mirror = json.loads(run(capsys, *arguments).out)["results"]
    assert like["digest"] == axfpm["digest"]
    assert like["correct"] == axfpm["correct"]
    assert mirror["digest"]["conv1"] != axfpm["digest"]


def test_transfer_table_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "transfer", "axfpm", "--samples", "10", "--examples", "pgd")
    assert printed.status == 0
    assert printed.out.splitlines()[-1].split()[:2] == ["axfpm", "pgd"]
    arguments = ("transfer", "axfpm", "--samples", "10", "--format", "json", "--compute", "lowered")
    document = json.loads(run(capsys, *arguments).out)
    assert [row["examples"] for row in document["results"]] == ["pgd", "fgsm_smallest"]
    assert document["results"][0]["eligible"] == measure_transfer(design("axfpm"), samples=10)["pgd"].eligible


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["accuracy", "axfpn"], "unknown design 'axfpn'; nearest: axfpm, axfpm_tiled."),
        (
            ["accuracy", "axfpm", "--model", "lenet"],
            "unknown model 'lenet'; nearest: lenet5, alexnet, resnet8.",
        ),
        (["accuracy", "conv9=axfpm"], "unknown layer 'conv9'; nearest: conv2, conv1."),
        (
            ["accuracy", "conv1=axfpm,conv1=heap"],
            "designs by layer must be LAYER=DESIGN,LAYER=DESIGN, each layer once, but got 'conv1=axfpm,conv1=heap'; "
            "correct it.",
        ),
        (
            ["accuracy", "axfpm", "--samples", "5000"],
            "1 <= samples <= 2000 must hold for the test images, but got 5000; choose fewer.",
        ),
        (
            ["accuracy", "axfpm", "--data", "none"],
            "unknown source 'none'; available: embedded, full.",
        ),
        (
            ["accuracy", "axfpm", "--data", "a.safetensors", "--dataset", "mnist"],
            "data must be 'embedded' or 'full' with a dataset or folder, but got 'a.safetensors'; leave those out.",
        ),
        (
            ["accuracy", "axfpm", "--folder", "there"],
            "folder must be given only with source='full', but got source='embedded' and folder='there'; leave folder "
            "out or ask for the full set.",
        ),
        (
            ["accuracy", "heap", "--compute", "native"],
            "layer conv1: compute='native' needs a circuit that is exact by construction; leave the choice to "
            "compute='auto'.",
        ),
        (
            ["accuracy", "heap", "--compute", "lowered"],
            "layer conv1, compute='lowered': lowering needs a bilinear form in the operand bits, but none is proved "
            "for heap (reconstructed); compute it gate-exact.",
        ),
        (
            ["accuracy", "axfpm", "--model", "no.such:thing"],
            "the model must be package.module:factory of an importable module, but there is no module 'no'; name it as "
            "in `import`, and run from its folder or install it.",
        ),
        (
            ["transfer", "axfpm", "--samples", "0"],
            "argument --samples: it must be an integer of at least 1, but got '0'; "
            "see python -m cnn_eval transfer --help",
        ),
        (
            ["transfer", "axfpm", "--model", "a:b"],
            f"unknown model 'a:b'; available: {', '.join(sorted(MODELS))}.",
        ),
    ],
)
def test_mistakes_of_accuracy_and_transfer_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    done = run(capsys, *arguments)
    assert (done.status, done.out, done.err) == (2, "", f"error: {message}\n")


@pytest.mark.slow
def test_module_runs_without_warnings(tmp_path: Path) -> None:
    """As a process in a folder with a user's module: no warning by runpy, notes on standard error."""
    (tmp_path / "nets.py").write_text(MODULE)
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "cnn_eval",
        "accuracy",
        "axfpm",
        "--model",
        "nets:make",
        "--format",
        "json",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run(
        [*command, "--samples", "5"], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "note: layers that cannot be replaced stay exact: signal (Conv1d)\n"
    document = json.loads(done.stdout)
    assert document["unreplaced"] == {"signal": "Conv1d"}
    assert document["results"][0]["images"] == 5


# ---- a user's network and images


@pytest.fixture
def nets(user_module: Callable[[str, str], Path]) -> Path:
    """A folder on the import path with the module `usernets`."""
    return user_module("usernets", MODULE)


def test_user_model_with_weights_and_images(nets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_user_model("usernets:make")
    assert not model.training
    state = load_user_model("usernets:make").state_dict()
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())  # seeded

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25)
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    save_file(weights, nets / "w.safetensors")
    torch.save(weights, nets / "w.pt")
    torch.save({"state_dict": weights, "epoch": 3}, nets / "checkpoint.pth")
    images, labels = torch.rand(12, 1, 28, 28), torch.arange(12) % 10
    save_file({"images": images, "labels": labels}, nets / "own.safetensors")
    for name in ("w.safetensors", "w.pt", "checkpoint.pth"):
        loaded = load_user_model("usernets:make", nets / name)
        assert torch.equal(loaded(images), model(images))
    result = evaluate(design("exact"), model="usernets:make", weights=nets / "w.pt", data=str(nets / "own.safetensors"))
    np.testing.assert_array_equal(result.correct, predict(model, images) == labels)
    options = ["--weights", str(nets / "w.pt"), "--data", str(nets / "own.safetensors"), "--layers", "linear"]
    done = run(capsys, "accuracy", "axfpm", "--model", "usernets:make", *options)
    assert done.status == 0
    assert "12 " in done.out
    assert done.err == ""  # a Conv1d is no linear layer


def test_wrong_user_models_are_named(nets: Path) -> None:
    def message(specification: str, weights: Path | None = None) -> str:
        with pytest.raises(DataError) as error:
            load_user_model(specification, weights)
        return str(error.value)

    assert message("usernets:Nett") == (
        "the model's factory must be a function or class, but usernets has no such 'Nett'; name one of its functions."
    )
    assert message("usernets:number") == (
        "the model's factory must return a torch module, but usernets:number returned a int; correct the factory."
    )
    assert message(":make") == "the model must be package.module:factory, but got ':make'; correct it."
    assert message("usernets:make", nets / "w.bin") == (
        f"{nets}/w.bin must end in .safetensors, .pt, .pth, but does not; convert it."
    )
    (nets / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    assert message("usernets:make", nets / "bad.safetensors").startswith(
        f"{nets}/bad.safetensors must be a safetensors file, but is not ("
    )
    torch.save(nn.Linear(1, 1), nets / "module.pt")  # pickled code
    assert message("usernets:make", nets / "module.pt").startswith(
        f"{nets}/module.pt must hold weights only, but torch.load(weights_only=True) refuses it ("
    )
    (nets / "cut.pt").write_bytes(b"PK\x03\x04 cut")
    assert "cut.pt must hold weights only" in message("usernets:make", nets / "cut.pt")
    torch.save([1, 2], nets / "list.pt")
    assert message("usernets:make", nets / "list.pt") == (
        f"{nets}/list.pt must hold a state_dict of tensors, but does not; save the model's state_dict()."
    )
    save_file({"conv.weight": torch.zeros(2, 1, 5, 5), "conv.bias": torch.zeros(3)}, nets / "part.safetensors")
    assert message("usernets:make", nets / "part.safetensors") == (
        f"{nets}/part.safetensors must hold the model's tensors, but conv.bias is [3] instead of [2], last.bias is "
        "missing, last.weight is missing and 2 more; give its own weights."
    )


def test_a_module_that_fails_inside_keeps_its_own_error(nets: Path) -> None:
    (nets / "needy.py").write_text("import surely_not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        load_user_model("needy:make")


def test_user_images_that_do_not_fit_are_named(nets: Path) -> None:
    labels = torch.tensor([0, 1])

    def message(**tensors: torch.Tensor) -> str:
        save_file(tensors, nets / "own.safetensors")
        with pytest.raises(DataError) as error:
            load_user_images(nets / "own.safetensors")
        return str(error.value).removeprefix(f"{nets}/own.safetensors ")

    assert message(image=torch.zeros(1)) == (
        "must hold the tensors images and labels, but holds image; write it with safetensors.torch.save_file."
    )
    assert message(images=torch.zeros(2, 28, 28), labels=labels).endswith(
        "images must be float32 [N, C, H, W], but are float32 [2, 28, 28]; convert them."
    )
    assert message(images=torch.zeros(3, 1, 2, 2), labels=labels).endswith(
        "labels must be int64 [3], but are int64 [2]; give one class an image."
    )

    def misfit(specification: str, images: torch.Tensor) -> str:
        with pytest.raises(DataError) as error:
            check_model(load_user_model(specification), images, torch.tensor([0, 7]))
        return str(error.value)

    images = torch.zeros(2, 1, 28, 28)
    assert misfit("usernets:spatial", images) == (
        "the model must return logits [1, classes] for one image, but returned [1, 2, 26, 26]; adapt it."
    )
    assert misfit("usernets:two", images) == (
        "the model must have a class for every label, but has 2 classes and image 1 has the label 7; choose images "
        "that fit the model."
    )
    assert misfit("usernets:make", images[..., :9]).startswith("the model must take images [1, 1, 28, 9], but: ")


def test_designs_from_files_go_through_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = Design(placement="ama4", ports="scp", topology="carry_save_array", name="mine")
    (tmp_path / "mine.toml").write_text(entry.to_toml())
    done = run(capsys, "accuracy", str(tmp_path / "mine.toml"), "--samples", "5", "--format", "json")
    assert json.loads(done.out)["results"][0]["digest"] == entry.digest


def test_designs_of_one_name_are_told_apart_on_every_command_line(tmp_path: Path) -> None:
    """Their labels carry digests, also in designs by layer."""
    files = []
    for cell in ("ama1", "ama5"):
        file = tmp_path / f"{cell}.toml"
        file.write_text(Design(placement=cell, name="mine").to_toml(), encoding="utf-8")
        files.append(str(file))
    layered = f"conv1={files[0]},conv2=exact"
    chosen = subjects(argparse.Namespace(threads=None, cells=None, designs=[*files, layered, "axfpm"]))
    one, two = (f"mine [{Design.load(file).digest[:10]}]" for file in files)
    assert [identity(subject)["design"] for subject in chosen] == [one, two, f"conv1={one}, conv2=exact", "axfpm"]
