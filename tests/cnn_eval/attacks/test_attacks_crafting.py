"""Attacks on LeNet-5: effect, bounds, independence of an image's result from other images, stored examples."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from quick_attacks import QUICK
from torch import nn
from torch.nn import functional

from cnn_eval import ATTACKS, MODELS, DataError, MissingExtraError, attack, load_model, predict
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.attacks.pgd import PGD
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.attacks.shared.primitives import distances, fooled, uniform_noise
from cnn_eval.commands import main
from cnn_eval.data.folders import EMBEDDED_FOLDER
from cnn_eval.data.loading import load
from cnn_eval.examples import stored_examples
from cnn_eval.examples.example_sets import EXAMPLE_SETS, ExampleSet
from cnn_eval.examples.stored_examples import craft_example_set, load_examples
from cnn_eval.models.registry import weights_record

Batch = tuple[torch.Tensor, torch.Tensor]
RESOLUTION = 1 / 4096


def gradient_sign(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    images = images.clone().requires_grad_()
    loss = functional.cross_entropy(model(images), labels, reduction="sum")
    return torch.autograd.grad(loss, images)[0].sign()


def rate(model: nn.Module, adversarial: torch.Tensor, batch: Batch) -> float:
    return float(fooled(model, adversarial, batch[1]).float().mean())


# ---- effect, against independent code


def test_fgsm_is_one_signed_step(model: nn.Module, batch: Batch) -> None:
    expected = (batch[0] + 0.1 * gradient_sign(model, *batch)).clamp(0, 1)
    result = FGSM().run(model, *batch, mode="budget", epsilon=0.1)
    assert float(((result - expected).abs() < 1e-6).float().mean()) > 0.999  # a gradient of rounding size may flip
    rates = [rate(model, FGSM().run(model, *batch, mode="budget", epsilon=eps), batch) for eps in (0, 0.1, 0.3)]
    assert rates[0] == 0
    assert rates[0] < rates[1] < rates[2]


@pytest.mark.slow
def test_pgd_is_many_projected_steps_and_stronger_than_fgsm(model: nn.Module, batch: Batch) -> None:
    epsilon = 0.1
    x = (batch[0] + epsilon * uniform_noise(batch[0], 0)).clamp(0, 1)
    for _ in range(4):
        x = x + 0.0625 * epsilon * gradient_sign(model, x, batch[1])
        x = (batch[0] + (x - batch[0]).clamp(-epsilon, epsilon)).clamp(0, 1)
    result = PGD(steps=4).run(model, *batch, mode="budget", epsilon=epsilon)
    assert float(((result - x).abs() < 1e-6).float().mean()) > 0.99
    strong = rate(model, PGD().run(model, *batch, mode="budget", epsilon=epsilon), batch)
    assert strong > rate(model, FGSM().run(model, *batch, mode="budget", epsilon=epsilon), batch)
    assert rate(model, PGD().run(model, *batch, mode="budget", epsilon=0.2), batch) >= 0.95


def test_random_start_is_uniform_and_follows_seed_and_image(batch: Batch) -> None:
    noise = uniform_noise(batch[0], 0)
    assert noise.shape == batch[0].shape
    assert float(noise.abs().max()) <= 1
    assert abs(float(noise.mean())) < 0.01
    assert float(noise.var()) == pytest.approx(1 / 3, rel=0.02)
    assert torch.equal(noise.flip(0), uniform_noise(batch[0].flip(0), 0))
    assert not torch.equal(noise, uniform_noise(batch[0], 1))
    assert not torch.equal(noise[0], noise[1])


def test_smallest_fgsm_step_fools_and_a_smaller_one_does_not(model: nn.Module, batch: Batch) -> None:
    images, labels = batch
    result = FGSM().run(model, images, labels, mode="minimum")
    success = fooled(model, result, labels)
    assert float(success.float().mean()) > 0.95
    assert torch.equal(result[~success], images[~success])
    images, labels, result = images[success], labels[success], result[success]
    sign = gradient_sign(model, images, labels)
    # clipping hides eps where the pixel is at its bound; the largest change is eps wherever a pixel could take it
    epsilon = distances(images, result, "linf")[:, None, None, None]
    assert float((result - (images + epsilon * sign).clamp(0, 1)).abs().max()) < 1e-6
    below = (images + (epsilon - RESOLUTION) * sign).clamp(0, 1)
    assert float(fooled(model, below, labels).float().mean()) < 0.05


@pytest.mark.slow
def test_smallest_pgd_perturbation_is_smaller_than_fgsm(model: nn.Module, batch: Batch) -> None:
    few = (batch[0][:20], batch[1][:20])
    result = PGD(steps=20, relative_step=0.125).run(model, *few, mode="minimum")
    assert rate(model, result, few) == 1
    mine, fgsm = (distances(few[0], r, "linf") for r in (result, FGSM().run(model, *few, mode="minimum")))
    assert float((mine <= fgsm + 1 / 512).float().mean()) >= 0.9
    half = PGD(steps=20, relative_step=0.125).run(model, *few, mode="budget", epsilon=float(mine.median()) / 2)
    assert rate(model, half, few) < 0.5


# ---- what holds for every attack


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_linf_attacks_spend_their_budget(name: str, model: nn.Module, batch: Batch) -> None:
    result = attack(name).run(model, *batch, mode="budget", epsilon=0.15)
    assert result.dtype == torch.float32
    assert (float(result.min()), float(result.max())) == (0, 1)
    reached = distances(batch[0], result, "linf")
    assert float(reached.max()) == pytest.approx(0.15, abs=1e-6)


@pytest.mark.parametrize("mode", ["budget", "minimum"])
@pytest.mark.parametrize(
    "method", [FGSM(), pytest.param(PGD(steps=10, bisections=6), marks=pytest.mark.slow)], ids=["fgsm", "pgd"]
)
def test_result_is_deterministic_and_independent_of_the_batch(
    method: Attack, mode: str, model: nn.Module, batch: Batch
) -> None:
    images, labels = batch[0][:30], batch[1][:30]
    epsilon = 0.1 if mode == "budget" else None
    one = method.run(model, images, labels, mode=mode, epsilon=epsilon)  # type: ignore[arg-type]
    torch.manual_seed(1)  # the global generator must not matter
    again = method.run(model, images, labels, mode=mode, epsilon=epsilon)  # type: ignore[arg-type]
    assert torch.equal(one, again)
    split = method.run(model, images, labels, mode=mode, epsilon=epsilon, batch_size=7)  # type: ignore[arg-type]
    back = method.run(model, images.flip(0), labels.flip(0), mode=mode, epsilon=epsilon).flip(0)  # type: ignore[arg-type]
    for other in (split, back):
        # other batch shapes may round otherwise, which can turn the sign of a vanishing gradient
        assert float(((one - other).abs() <= RESOLUTION + 1e-6).float().mean()) > 0.99
        assert torch.equal(fooled(model, one, labels), fooled(model, other, labels))


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_model_is_left_as_it_was(name: str, batch: Batch) -> None:
    model = load_model("lenet5").train()
    model.get_submodule("conv1").eval()
    parameter = model.get_parameter("fc3.bias").requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    attack(name, **QUICK.get(name, {})).run(model, batch[0][:4], batch[1][:4], mode="budget", epsilon=0.1)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())
    assert [value is not parameter for value in model.parameters()] == [p.requires_grad for p in model.parameters()]
    assert model.training
    assert not model.get_submodule("conv1").training


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_misclassified_images_and_empty_batches_come_back_unchanged(name: str, model: nn.Module, batch: Batch) -> None:
    wrong = (batch[1] + 1) % 10
    method = attack(name, **QUICK.get(name, {}))
    assert torch.equal(method.run(model, batch[0], wrong, mode="minimum"), batch[0])
    empty = method.run(model, batch[0][:0], batch[1][:0], mode="budget", epsilon=0.1)
    assert empty.shape == (0, 1, 28, 28)


def test_settings_hold_all_that_decides_a_run() -> None:
    settings = PGD(steps=7, seed=3).settings(mode="budget", epsilon=0.2)
    assert settings == {
        "attack": "pgd",
        "norm": "linf",
        "mode": "budget",
        "epsilon": 0.2,
        "steps": 7,
        "relative_step": 0.0625,
        "random_start": True,
        "seed": 3,
        "bisections": 10,
        "largest": 1.0,
        "library": "foolbox 3.3.4",
        "abs_stepsize": 0.0125,
    }
    assert FGSM().settings(mode="minimum")["epsilon"] is None
    json.dumps(settings)


# ---- mistakes


def test_unknown_attacks_and_hyperparameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"^unknown attack 'fgms'; nearest: fgsm\.$"):
        attack("fgms")
    message = r"^unknown hyperparameter 'step' of pgd; pgd works in linf and takes steps \("
    with pytest.raises(ValueError, match=message):
        attack("pgd", step=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "max"}, "unknown attack mode 'max'; available: budget, minimum."),
        ({"mode": "minimum"}, "epsilon must be left out in mode 'minimum', but got 0.1; or use mode 'budget'."),
        ({"epsilon": None}, "epsilon must be a number of at least 0 in mode 'budget', but got None; give one."),
        ({"epsilon": -1}, "epsilon must be a number of at least 0 in mode 'budget', but got -1; give one."),
        ({"epsilon": float("nan")}, "epsilon must be a number of at least 0 in mode 'budget', but got nan; give one."),
        ({"batch_size": 0}, "batch_size must be at least 1, but got 0; give a larger number."),
        (
            {"images": torch.zeros(2, 28, 28)},
            "images must be float32 [N, C, H, W], but are float32 [2, 28, 28]; convert them.",
        ),
        (
            {"images": torch.full((2, 1, 28, 28), 255.0)},
            "pixels must lie in [0, 1], but image 0 reaches from 255 to 255 (and 1 more); scale the images, and let "
            "the network normalise them.",
        ),
        (
            {"images": torch.full((2, 1, 28, 28), float("nan"))},
            "pixels must be finite, but image 0 has nan (and 1 more); leave it out.",
        ),
        (
            {"labels": torch.zeros(3, dtype=torch.int64)},
            "labels must be int64 [2], but are int64 [3]; give one class an image.",
        ),
        ({"labels": torch.zeros(2)}, "labels must be int64 [2], but are float32 [2]; give one class an image."),
        ({"labels": torch.tensor([0, -1])}, "labels must be classes from 0, but image 1 has -1; correct."),
        (
            {"labels": torch.tensor([10, 12])},
            "the model must have a class for every label, but has 10 classes and image 0 has the label 10 (and 1 "
            "more); choose images that fit the model.",
        ),
    ],
)
def test_arguments_that_break_the_contract_are_refused(
    change: dict[str, object], message: str, model: nn.Module
) -> None:
    arguments: dict[str, object] = {
        "images": torch.zeros(2, 1, 28, 28),
        "labels": torch.zeros(2, dtype=torch.int64),
        "mode": "budget",
        "epsilon": 0.1,
    }
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FGSM().run(model, **{**arguments, **change})  # type: ignore[arg-type]


def test_a_missing_foolbox_is_named_with_its_remedy(
    model: nn.Module,
    batch: Batch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "foolbox"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "foolbox", None)
    message = (
        "this attack needs the package 'foolbox', but it is not installed; "
        "run `pip install -c constraints.txt -e '.[attacks]'`."
    )
    command = message.split("`")[1]
    assert command in (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    with pytest.raises(MissingExtraError, match=f"^{re.escape(message)}$"):
        FGSM().run(model, *batch, mode="minimum")
    assert main(["examples", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {message}"
    assert list(tmp_path.iterdir()) == []


# ---- the stored examples


@pytest.mark.parametrize("name", sorted(EXAMPLE_SETS))
@pytest.mark.parametrize(("network", "count"), [("lenet5", 200), ("alexnet", 100)])
def test_stored_examples_fool_and_their_clean_images_do_not(network: str, count: int, name: str) -> None:
    model, stored = load_model(network), load_examples(name, network)
    dataset = MODELS[network].dataset
    test = load(dataset)
    assert len(stored) == len(set(stored.indices.tolist())) == count
    assert stored.adversarial.shape == stored.clean.shape == (count, *test.images.shape[1:])
    assert (stored.adversarial.dtype, stored.labels.dtype) == (torch.float32, torch.int64)
    assert torch.equal(stored.clean, test.images[stored.indices])
    assert torch.equal(stored.labels, test.labels[stored.indices])
    assert torch.equal(predict(model, stored.clean), stored.labels)
    assert bool(fooled(model, stored.adversarial, stored.labels).all())
    assert float(stored.adversarial.min()) >= 0
    assert float(stored.adversarial.max()) <= 1
    recipe = EXAMPLE_SETS[name]
    assert stored.settings == recipe.build_attack().settings(mode=recipe.mode, epsilon=recipe.epsilon.get(dataset))


def test_stored_pgd_examples_keep_their_budget() -> None:
    stored = load_examples("pgd")
    assert (stored.settings["epsilon"], stored.settings["steps"], stored.settings["abs_stepsize"]) == (0.2, 40, 0.0125)
    assert float(distances(stored.clean, stored.adversarial, "linf").max()) == pytest.approx(0.2, abs=1e-6)
    photographs = load_examples("pgd", "alexnet")
    assert float(distances(photographs.clean, photographs.adversarial, "linf").max()) == pytest.approx(
        8 / 255, abs=1e-6
    )


@pytest.mark.parametrize("name", sorted(EXAMPLE_SETS))
def test_crafting_again_gives_the_stored_examples(
    name: str, model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_examples, "COUNTS", {"mnist": 20})
    record = craft_example_set(name, out=tmp_path, progress=False)
    again, stored = load_examples(name, folder=tmp_path), load_examples(name)
    assert record["weights_sha256"] == weights_record("lenet5")["sha256"]
    assert torch.equal(again.indices, stored.indices[:20])
    same = (again.adversarial - stored.adversarial[:20]).abs() <= RESOLUTION + 1e-6
    assert float(same.float().mean()) > 0.95  # other CPUs round otherwise, see above


def test_unknown_example_sets_are_named() -> None:
    message = r"^unknown example set 'fgsm'; available: fgsm_smallest, pgd\.$"
    with pytest.raises(ValueError, match=message):
        load_examples("fgsm")
    with pytest.raises(ValueError, match=r"^unknown model 'lenet4'; nearest: lenet5, alexnet, resnet8\.$"):
        load_examples("pgd", "lenet4")


def test_examples_of_other_weights_are_refused(tmp_path: Path) -> None:
    for ending in ("json", "safetensors"):
        shutil.copy(EMBEDDED_FOLDER / f"lenet5_pgd.{ending}", tmp_path)
    path = tmp_path / "lenet5_pgd.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "weights_sha256": "00"}))
    advice = "restore it from the project's repository or craft again with `python -m cnn_eval examples lenet5`"
    with pytest.raises(DataError) as refused:
        load_examples("pgd", folder=tmp_path)
    assert str(refused.value) == (
        f"{path} must be crafted on the present weights of lenet5 (SHA-256 {weights_record('lenet5')['sha256']}), "
        f"but was crafted on 00; {advice}."
    )
    tensors = path.with_suffix(".safetensors")
    tensors.write_bytes(tensors.read_bytes()[:1000])
    with pytest.raises(DataError) as refused:
        load_examples("pgd", folder=tmp_path)
    assert str(refused.value) == f"{tensors} must have {record['bytes']} bytes, but has 1000; {advice}."


def test_too_few_examples_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = ExampleSet(attack="fgsm", mode="budget", epsilon={"mnist": 0.0})
    monkeypatch.setattr(stored_examples, "EXAMPLE_SETS", {"pgd": weak})
    message = "pgd must fool lenet5 on 200 images, but did on 0; use a stronger attack."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        craft_example_set("pgd", out=tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []
