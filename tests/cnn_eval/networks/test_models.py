"""Models: their layers, the committed weights and their accuracy, and the refusal of damaged or foreign weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from cnn_eval import MODELS, DataError, load_model, predict
from cnn_eval.data.loading import load
from cnn_eval.models.inference import logits
from cnn_eval.models.networks.lenet5 import LeNet5
from cnn_eval.models.registry import WEIGHTS_FOLDER, build, has_committed_weights, weights_record

ADVICE = "restore it from the project's repository or train again with `python -m cnn_eval train lenet5`"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of the committed weights and their record."""
    for ending in ("safetensors", "json"):
        shutil.copy(WEIGHTS_FOLDER / f"lenet5.{ending}", tmp_path)
    return tmp_path / "lenet5.safetensors"


def test_lenet5_has_the_classic_layers() -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in LeNet5().named_parameters() if "weight" in name}
    assert shapes == {
        "conv1.weight": (6, 1, 5, 5),
        "conv2.weight": (16, 6, 5, 5),
        "fc1.weight": (120, 256),
        "fc2.weight": (84, 120),
        "fc3.weight": (10, 84),
    }
    assert LeNet5()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_lenet5_computes_what_its_layers_say() -> None:
    """Against a forward pass in float64 with convolution as a sum over shifted images and pooling as a maximum."""
    model = load_model("lenet5")
    images = load().images[:5]
    tensors = {name: tensor.double() for name, tensor in model.state_dict().items()}
    x = images.double()
    for name in ("conv1", "conv2"):
        kernel, size = tensors[f"{name}.weight"], x.shape[-1] - 4
        x = tensors[f"{name}.bias"][None, :, None, None] + sum(
            torch.einsum("ncyx,oc->noyx", x[:, :, i : i + size, j : j + size], kernel[:, :, i, j])
            for i in range(5)
            for j in range(5)
        )
        x = x.clamp(min=0)
        x = torch.stack([x[:, :, i::2, j::2] for i in range(2) for j in range(2)]).amax(0)
    x = x.reshape(len(images), 256)
    for name in ("fc1", "fc2", "fc3"):
        x = x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
        x = x if name == "fc3" else x.clamp(min=0)
    torch.testing.assert_close(logits(model, images), x.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "at_least"),
    [("lenet5", 9850), ("alexnet", 8100), ("dorefa_full", 8000), ("dorefa_weight", 8000), ("dorefa_float", 8000)],
)
def test_committed_weights_reach_their_recorded_accuracy(name: str, at_least: int) -> None:
    record = weights_record(name)
    assert record["accuracy"]["full"]["images"] == 10_000
    assert record["accuracy"]["full"]["correct"] >= at_least
    assert record["bytes"] < 10_000_000
    images = load(MODELS[name].dataset)
    correct = int((predict(load_model(name), images.images) == images.labels).sum())
    # on another CPU a tie may be decided differently, and a value may round to the neighbouring quantised level
    assert abs(correct - record["accuracy"]["embedded"]["correct"]) <= (3 if name == "dorefa_full" else 1)


def test_five_lenets_of_different_training_are_as_accurate_as_recorded() -> None:
    """Studies take the spread between networks from them; they differ in seed, data, length or loss."""
    images = load()
    names = [name for name in MODELS if name.startswith("lenet5")]
    assert len(names) == len({MODELS[name].recipe.seed for name in names}) == 5
    confident = {}
    for name in names:
        outputs = logits(load_model(name), images.images)
        correct = int((outputs.argmax(1) == images.labels).sum())
        assert abs(correct - weights_record(name)["accuracy"]["embedded"]["correct"]) <= 1
        confident[name] = float((outputs.softmax(1).amax(1) > 0.9).float().mean())
    # DA's network has 97.93 %; 95 % of samples of 2,000 images lie within .6 points of it.
    assert weights_record("lenet5_brief")["accuracy"]["embedded"]["percent"] == pytest.approx(97.93, abs=0.6)
    assert confident.pop("lenet5_smooth") < 0.01
    assert min(confident.values()) > 0.8


def test_two_alexnets_of_different_training_are_as_accurate_as_recorded() -> None:
    """Seeds, targets and augmentation differ; study several_alexnets takes the spread between networks from them."""
    images = load("cifar10")
    first, second = ("alexnet", "alexnet_smooth")
    assert MODELS[first].recipe.seed != MODELS[second].recipe.seed
    assert MODELS[second].recipe.label_smoothing > MODELS[first].recipe.label_smoothing
    classes = {name: predict(load_model(name), images.images[:200]) for name in (first, second)}
    assert not torch.equal(*classes.values())
    for name, predicted in classes.items():
        share = float((predicted == images.labels[:200]).float().mean())
        assert share == pytest.approx(weights_record(name)["accuracy"]["embedded"]["percent"] / 100, abs=0.1)


def test_loaded_model_is_in_evaluation_mode_and_leaves_torch_alone() -> None:
    before = torch.random.get_rng_state()
    model = load_model("lenet5")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_build_follows_its_seed() -> None:
    first, again, other = (build("lenet5", seed=seed).state_dict()["conv1.weight"] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_prediction_does_not_depend_on_the_batch_size() -> None:
    model, images = load_model("lenet5"), load().images[:130]
    torch.testing.assert_close(logits(model, images, batch_size=7), logits(model, images), rtol=1e-4, atol=1e-4)


def test_every_model_names_a_data_set_that_exists() -> None:
    for entry in MODELS.values():
        assert len(load(entry.dataset)) > 0


def test_an_unknown_model_names_the_nearest_ones() -> None:
    with pytest.raises(ValueError, match=r"^unknown model 'lenet6'; nearest: lenet5, alexnet, resnet8\.$"):
        load_model("lenet6")


@pytest.mark.parametrize("name", [name for name in MODELS if not has_committed_weights(name)])
def test_networks_without_committed_weights_say_how_to_train_them(name: str) -> None:
    with pytest.raises(DataError) as refused:
        load_model(name)
    assert str(refused.value) == (
        f"no weights of {name} are committed yet; train them with "
        f"`python -m cnn_eval train {name}` and give the file as weights."
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_network_classifies_the_images_of_its_data_set(name: str) -> None:
    """Both in the form in which it is trained and in the one in which it is deployed."""
    images = load(MODELS[name].dataset).images[:2]
    for for_training in (False, True):
        assert logits(build(name, seed=0, for_training=for_training).eval(), images).shape == (2, 10)


def test_truncated_weights_are_named(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError) as refused:
        load_model("lenet5", weights)
    size = (WEIGHTS_FOLDER / "lenet5.safetensors").stat().st_size
    assert str(refused.value) == f"{weights} must have {size} bytes, but has {size - 1}; {ADVICE}."


def test_altered_weights_are_named(weights: Path) -> None:
    good = weights.read_bytes()
    altered = good[:-1] + bytes([good[-1] ^ 1])
    weights.write_bytes(altered)
    with pytest.raises(DataError) as refused:
        load_model("lenet5", weights)
    expected, got = (hashlib.sha256(content).hexdigest() for content in (good, altered))
    assert str(refused.value) == f"{weights} must have SHA-256 {expected}, but has {got}; {ADVICE}."


def rewrite(weights: Path, content: bytes, **fields: object) -> None:
    path = weights.with_suffix(".json")
    record = json.loads(path.read_text())
    digest = hashlib.sha256(content).hexdigest()
    weights.write_bytes(content)
    path.write_text(json.dumps({**record, "bytes": len(content), "sha256": digest, **fields}))


def test_weights_that_fit_their_record_but_not_the_model_are_refused(weights: Path) -> None:
    rewrite(weights, save({"conv9.weight": torch.zeros(1)}))
    with pytest.raises(DataError) as refused:
        load_model("lenet5", weights)
    assert str(refused.value) == f"{weights} must hold the tensors of lenet5, but holds conv9.weight; {ADVICE}."
    rewrite(weights, b"no tensors")
    with pytest.raises(DataError, match="must be a safetensors file, but is not") as refused:
        load_model("lenet5", weights)
    assert str(refused.value).startswith(str(weights))


def test_the_record_of_another_model_is_refused(weights: Path) -> None:
    rewrite(weights, weights.read_bytes(), model="alexnet")
    with pytest.raises(DataError) as refused:
        load_model("lenet5", weights)
    path = weights.with_suffix(".json")
    assert str(refused.value) == f"{path} is the record of alexnet, not of lenet5; name the right model."


def test_a_missing_record_is_named(weights: Path) -> None:
    path = weights.with_suffix(".json")
    path.unlink()
    with pytest.raises(DataError) as refused:
        load_model("lenet5", weights)
    assert str(refused.value) == f"{path} is missing; {ADVICE}."


def test_alexnet_has_the_layers_that_the_paper_counts() -> None:
    model = MODELS["alexnet"].factory()
    kinds = [type(layer).__name__ for layer in model.children()]
    assert kinds.count("Conv2d") == 5
    assert kinds.count("Linear") == 3
    assert kinds.count("Dropout") == 1
    shapes = []
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc1"):
        model.get_submodule(name).register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape[1:])))
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 10)
    # three halvings: behind the first, second and fifth convolution
    assert shapes == [(3, 32, 32), (48, 16, 16), (96, 8, 8), (160, 8, 8), (128, 8, 8), (96 * 16,)]
