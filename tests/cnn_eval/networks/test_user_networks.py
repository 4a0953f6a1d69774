"""A user's own networks, checkpoints and images: what is accepted, and the one line about what is not."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from circuits import DesignError, design
from cnn_eval import (
    CONTROL,
    AuditSettings,
    DataError,
    approximate,
    attack,
    measure_margins,
    predict,
    run_audit,
    unreplaced,
)
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.attacks.hopskipjump import HopSkipJump
from cnn_eval.commands import main
from cnn_eval.data.image_checks import check_images, check_labels
from cnn_eval.data.own_images.user_images import load_user_images
from cnn_eval.measure.network_accuracy import evaluate
from cnn_eval.models.user_model import load_user_model
from cnn_eval.scenarios.scenario_runs import Task
from cnn_eval.scenarios.success import noise

ROOT = Path(__file__).parents[3]
MODULE = """
import torch
from torch import nn
from torch.nn import functional

def body(channels=1, classes=10):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, classes)
    )

class Returns(nn.Module):
    def __init__(self, what, classes=10):
        super().__init__()
        self.body = body(classes=classes)
        self.what = what
    def forward(self, x):
        return self.what(self.body(x))

class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.again = self.conv
        self.last = nn.Linear(784, 10)
    def forward(self, x):
        return self.last(self.again(torch.relu(self.conv(x))).flatten(1))

class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Conv1d(1, 1, 3, padding=1)
        self.up = nn.ConvTranspose2d(1, 4, 2, stride=2)
        self.deep = nn.Conv3d(1, 1, 1)
        self.conv = nn.Conv2d(4, 4, 3, groups=2, dilation=3, stride=3, padding=1)
        self.last = nn.Linear(4 * 18 * 18, 10, bias=False)
    def forward(self, x):
        x = self.line(x.flatten(2)).reshape(x.shape)
        x = self.deep(self.up(x)[:, None])[:, 0]
        return self.last(torch.relu(self.conv(x)).flatten(1))

def plain(): return body()
def training(): return body().train()
def one(): return body(classes=1)
def two(): return body(classes=2)
def colour(): return body(channels=3)
def double(): return Returns(torch.Tensor.double)
def doubled(): return body().double()
def half(): return body().bfloat16()
def tupled(): return Returns(lambda logits: (logits, logits))
def elsewhere(): return Returns(lambda logits: logits.to("meta"))
def whole(): return Returns(torch.Tensor.long)
def nothing(): return Returns(lambda logits: logits * float("nan"))
def decided(): return Returns(lambda logits: functional.one_hot(logits.argmax(1), 10).float())
def empty(): return nn.Flatten()
def picky(): return Returns(lambda logits, more: logits)
def shared(): return Shared()
def grouped(): return Grouped()
def parallel(): return nn.DataParallel(body())
"""


@pytest.fixture
def nets(user_module: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path with the module `mynets` and ten images in mine.safetensors."""
    user_module("mynets", MODULE)
    monkeypatch.setenv("COLUMNS", "80")
    save(tmp_path, torch.rand(10, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(10) % 2)
    return tmp_path


def save(folder: Path, images: torch.Tensor, labels: torch.Tensor) -> str:
    path = folder / "mine.safetensors"
    save_file({"images": images, "labels": labels}, path)
    return str(path)


COMMANDS = {
    "accuracy": ["accuracy", "axfpm"],
    "attack": ["attack", "axfpm", "--attacks", "fgsm", "--mode", "budget"],
    "margins": ["margins", "axfpm", "--attacks", "fgsm"],
    "audit": ["audit", "axfpm"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (
            "one",
            "the model must have a logit for each of two classes or more, but has 1; where one logit is that of the "
            "second of two classes, return (-logit, logit).",
        ),
        (
            "half",
            "the model must compute in float32, but 0.weight is bfloat16 and it fails on float32 images; return "
            "model.float() from the factory.",
        ),
        (
            "doubled",
            "the model must compute in float32, but 0.weight is float64 and it fails on float32 images; return "
            "model.float() from the factory.",
        ),
        ("tupled", "the model must return logits [1, classes] for one image, but returned a tuple; adapt it."),
        (
            "elsewhere",
            "the model must return float32 logits on the CPU, but returned float32 on meta; return "
            "logits.float().cpu().",
        ),
        (
            "whole",
            "the model must return float32 logits on the CPU, but returned int64 on cpu; return logits.float().cpu().",
        ),
        (
            "double",
            "the model must return float32 logits on the CPU, but returned float64 on cpu; return "
            "logits.float().cpu().",
        ),
        ("nothing", "the model must return finite logits, but returned nan or inf for image 0; check its weights."),
        (
            "colour",
            "the model must take images [1, 1, 28, 28], but: Given groups=1, weight of size [4, 3, 5, 5], expected "
            "input[1, 1, 28, 28] to have 3 channels, but got 1 channels instead; choose images that fit the model.",
        ),
        (
            "empty",
            "the model must have a layer to replace, but layers='conv' and the filter leave none of its 0 Conv2d and "
            "Linear layers; choose other layers.",
        ),
        (
            "picky",
            "the model must take images [1, 1, 28, 28], but: it raised TypeError: picky.<locals>.<lambda>() missing 1 "
            "required positional argument: 'more' (mynets.py, line 17); choose images that fit the model.",
        ),
    ],
)
def test_networks_that_cannot_be_used_are_one_line(
    factory: str, message: str, command: str, nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*COMMANDS[command], "--model", f"mynets:{factory}", "--data", str(nets / "mine.safetensors")]
    status = main(
        [*arguments, "--samples", "10", *([] if command in ("accuracy", "audit") else ["--cache", str(nets)])]
    )
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err) == (2, "", f"error: {message}\n")


@pytest.mark.parametrize("factory", ["plain", "training", "two", "shared", "grouped", "parallel"])
def test_networks_of_all_kinds_are_computed_and_attacked(
    factory: str, nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_user_model(f"mynets:{factory}")
    assert not any(module.training for module in model.modules())
    images, _ = load_user_images(nets / "mine.safetensors")
    labels = predict(model, images)  # take the untrained network's answers for the truth
    data = save(nets, images, labels)
    common = ["--model", f"mynets:{factory}", "--data", data, "--samples", "10", "--format", "json"]
    attacking = ["attack", "axfpm", "--attacks", "deepfool", "--cache", str(nets)]
    for arguments in (
        ["accuracy", "exact"],
        *([] if factory == "grouped" else [attacking]),
    ):  # `grouped` is almost constant
        assert main([*arguments, *common]) == 0
        printed = capsys.readouterr()
        document = json.loads(printed.out)
        listed = {"line": "Conv1d", "up": "ConvTranspose2d", "deep": "Conv3d"} if factory == "grouped" else {}
        assert document["unreplaced"] == listed
        if arguments[0] == "accuracy":
            assert document["results"][0]["accuracy"] == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def make(:\n", "the module hers must be importable, but it raised SyntaxError: "),
        (
            "import sys\nsys.exit('usage')\n",
            "the module hers must be importable, but it raised SystemExit: usage (hers.py",
        ),
        (
            "1 / 0\n",
            "the module hers must be importable, but it raised ZeroDivisionError: division by zero (hers.py, lin",
        ),
        (
            "def make(width):\n    return width\n",
            "the model's factory must return a torch module, but it raised TypeError: make() missing 1 required",
        ),
        (
            "def make():\n    return {}['conv']\n",
            "the model's factory must return a torch module, but it raised KeyError: 'conv' (hers.py, line 2); correct",
        ),
        (
            "from torch import nn\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))\n",
            "the model's parameters must have values, but 1.weight has none yet; run an image through lazy layers in",
        ),
        (
            "from torch import nn\ndef make():\n    return nn.Conv2d(1, 1, 1, device='meta')\n",
            "the model's parameters must have values, but weight has none yet; run an image through lazy layers in",
        ),
        (
            "from torch import nn\nclass make(nn.Conv2d):\n    def __init__(self): super().__init__(1, 2, 28)\n"
            "    def forward(self, x):\n        return self.nosuch(x)\n",
            "the model must have a layer to replace, but layers='conv'",
        ),
        (
            "from torch import nn\nclass make(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.conv = nn.Conv2d(1, 2, 28)\n    def forward(self, x):\n        return {}[0]\n",
            "the model must take images [1, 1, 28, 28], but: it raised KeyError: 0 (hers.py, line 7); choose images",
        ),
    ],
)
def test_what_fails_inside_a_users_module_is_one_line(
    code: str, message: str, nets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (nets / "hers.py").write_text(code)
    monkeypatch.delitem(sys.modules, "hers", raising=False)
    importlib.invalidate_caches()
    assert main(["accuracy", "axfpm", "--model", "hers:make"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: {message}")


def test_networks_without_a_gradient_are_refused_by_attacks_that_need_one(
    nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_user_model("mynets:decided")
    images, _ = load_user_images(nets / "mine.safetensors")
    labels = predict(model, images)
    with pytest.raises(
        ValueError, match=r"^deepfool follows the gradient of the logits, but the model's do not depend"
    ):
        DeepFool().run(model, images, labels, mode="minimum")
    found = HopSkipJump(steps=1).run(model, images[:2], labels[:2], mode="minimum")
    assert found.shape == images[:2].shape
    data = save(nets, images, labels)
    status = main([*COMMANDS["attack"], "--model", "mynets:decided", "--data", data, "--samples", "10"])
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert printed.err.splitlines()[-1] == (
        "error: fgsm follows the gradient of the logits, but the model's do not depend on the images in a way that can "
        "be differentiated; use lsa or boundary or hopskipjump."
    )


# ---- checkpoints


def test_usual_forms_of_checkpoints_are_read(nets: Path) -> None:
    model = load_user_model("mynets:plain")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25)
    state = model.state_dict()
    images = torch.rand(3, 1, 28, 28)
    checkpoints = {
        "parallel": nn.DataParallel(model).state_dict(),
        "compiled": {f"_orig_mod.module.{key}": tensor for key, tensor in state.items()},
        "lightning": {"state_dict": {f"model.{key}": tensor for key, tensor in state.items()}, "epoch": 3},
        "kept": {"model_state_dict": state, "optimizer_state_dict": {"state": {}}},
        "timm": {"model": state, "args": 3},
        "pytorch_cifar": {"net": nn.DataParallel(model).state_dict(), "acc": 91.2, "epoch": 7},
    }
    for name, content in checkpoints.items():
        torch.save(content, nets / f"{name}.pt")
        loaded = load_user_model("mynets:plain", nets / f"{name}.pt")
        assert torch.equal(loaded(images), model(images)), name
    torch.save(state, nets / "state.pt")
    assert torch.equal(load_user_model("mynets:parallel", nets / "state.pt")(images), model(images))
    torch.save({f"module.{key}": tensor for key, tensor in list(state.items())[1:]}, nets / "part.pt")
    with pytest.raises(DataError, match=r"must hold the model's tensors, but 0\.bias is missing, "):
        load_user_model("mynets:plain", nets / "part.pt")


# ---- images


def broken(how: str) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = torch.rand(20, 1, 28, 28), torch.arange(20) % 10
    if how == "nan":
        images[3] = torch.nan
        images[4] *= 1e30
        images[5, 0, 0, 0] = torch.inf
    elif how == "inf":
        images[7, 0, 2, 2] = -torch.inf
    elif how == "range":
        images[6] -= 3
        images[8] *= 255
    elif how == "negative":
        labels[2] = -1
        labels[9] = -2
    elif how == "large":
        labels[11] = 10
    elif how == "floats":
        labels = labels.float()  # type: ignore[assignment]
    elif how == "count":
        labels = labels[:19]
    elif how == "double":
        images = images.double()
    elif how == "none":
        images, labels = images[:0], labels[:0]
    return images, labels


MESSAGES = {
    "nan": "pixels must be finite, but image 3 has nan (and 1 more); leave it out.",
    "inf": "pixels must be finite, but image 7 has -inf; leave it out.",
    "range": "pixels must lie in [0, 1], but image 6 reaches from -",
    "negative": "labels must be classes from 0, but image 2 has -1 (and 1 more); correct.",
    "large": "the model must have a class for every label, but has 10 classes and image 11 has the label 10; "
    "choose images that fit the model.",
    "floats": "labels must be int64 [20], but are float32 [20]; give one class an image.",
    "count": "labels must be int64 [20], but are int64 [19]; give one class an image.",
    "double": "images must be float32 [N, C, H, W], but are float64 [20, 1, 28, 28]; convert them.",
    "none": "there must be an image, but images are float32 [0, 1, 28, 28]; give some.",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("how", MESSAGES)
def test_wrong_images_and_labels_are_one_line(
    how: str, command: str, nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = save(nets, *broken(how))
    extra = [] if command in ("accuracy", "audit") else ["--cache", str(nets)]
    arguments = [*COMMANDS[command], "--model", "mynets:plain", "--data", data, "--samples", "10", *extra]
    if how == "none":
        arguments = [*arguments, "--samples", "1"]
    status = main(arguments)
    printed = capsys.readouterr()
    if (how, command) == ("range", "accuracy"):  # accuracy does not need the range
        assert status == 0
        return
    assert (status, printed.out) == (2, "")
    (line,) = printed.err.splitlines()
    where = "" if how == "large" else f"{data}: "
    assert line.startswith(f"error: {where}{MESSAGES[how]}")


@pytest.mark.parametrize("how", ["nan", "inf", "range", "negative", "large", "floats", "count", "double"])
def test_wrong_images_and_labels_are_refused_in_python(how: str, nets: Path) -> None:
    images, labels = broken(how)
    model = load_user_model("mynets:plain")
    calls = [
        lambda: FGSM().run(model, images, labels, mode="budget", epsilon=0.1),
        lambda: run_audit(design("axfpm"), model, images, labels, settings=AuditSettings(steps=1)),
    ]
    if how != "large":
        calls += [
            lambda: Task(attack=FGSM(), mode="minimum", epsilon=None, images=images, labels=labels),
            lambda: measure_margins(model, {}, images, labels),
        ]
    for call in calls:
        with pytest.raises(ValueError, match=f"^{re.escape(MESSAGES[how])}"):
            call()


def test_accuracy_needs_finite_pixels_and_no_range(nets: Path) -> None:
    images, labels = broken("range")
    result = evaluate(design("exact"), model="mynets:plain", data=save(nets, images, labels))
    assert result.correct.tolist() == (predict(load_user_model("mynets:plain"), images) == labels).tolist()
    with pytest.raises(DataError, match="pixels must be finite, but image 3 has nan"):
        evaluate(design("exact"), model="mynets:plain", data=save(nets, *broken("nan")))
    with pytest.raises(DataError, match=r"pixels must lie in \[0, 1\], but image 6"):
        load_user_images(save(nets, images, labels), unit=True)


def test_psnr_and_image_checks_refuse_wrong_ranges_and_shapes() -> None:
    images, labels = broken("range")
    with pytest.raises(ValueError, match="image 6 reaches"):
        noise(images, images)
    check_images(images, unit=False)
    check_images(torch.zeros(0, 1, 2, 2))
    check_images(torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2))
    check_labels(labels, 20, classes=10)
    with pytest.raises(
        ValueError, match=r"^labels must be int64 \[2\], but are int64 \[2, 1\]; give one class an image"
    ):
        check_labels(labels[:2, None], 2)


def test_files_of_images_of_unknown_kinds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accuracy", "axfpm", "--data", "mine.csv"]) == 2
    assert capsys.readouterr().err == (
        "error: data must be 'embedded', 'full', a .safetensors, .npz or .npy file of images and labels, or a folder "
        "of pictures by class, but got 'mine.csv'; convert it.\n"
    )


# ---- products outside of layers


class Functional(nn.Module):
    """Products outside of layers of every kind, and layers whose weights are used without calling them."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.borrowed = nn.Linear(4, 4)
        self.kernel = nn.Conv2d(1, 1, 3)
        self.last = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = functional.conv2d(images, self.kernel.weight, padding=1).flatten(1).reshape(-1, 4, 4)
        x = functional.linear(self.attention(x), self.borrowed.weight)
        logits: torch.Tensor = self.last(x.mean(1))
        return logits


class Attention(nn.Module):
    """Attention by hand, and by torch's own functions."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query = self.query(x)
        scores = torch.softmax(torch.matmul(query, x.transpose(1, 2)), -1)
        mixed = torch.einsum("bij,bjk->bik", scores, x) + torch.bmm(scores, x) + scores @ x
        return mixed + functional.scaled_dot_product_attention(query, x, x)


def test_products_outside_of_layers_are_listed() -> None:
    model = Functional()
    images = torch.rand(2, 1, 4, 4)
    assert unreplaced(model) == {}
    attention = (
        "Attention calls torch.matmul, torch.einsum, torch.bmm, torch.Tensor.matmul, "
        "functional.scaled_dot_product_attention itself"
    )
    assert unreplaced(model, images=images) == {
        "forward": "Functional calls functional.conv2d, functional.linear itself",
        "attention": attention,
        "borrowed": "Linear that the forward does not call",
        "kernel": "Conv2d that the forward does not call",
    }
    assert unreplaced(model, "conv", images=images) == {
        "forward": "Functional calls functional.conv2d itself",
        "attention": attention,
        "kernel": "Conv2d that the forward does not call",
    }
    assert unreplaced(model, "linear", images=images) == {
        "forward": "Functional calls functional.linear itself",
        "attention": attention,
        "borrowed": "Linear that the forward does not call",
    }
    replaced = approximate(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), design("axfpm"), layers="all", compute="lowered"
    )
    assert list(unreplaced(replaced, images=images)) == ["1"]  # its own products through torch are not functional ones


def test_looking_at_a_network_leaves_no_trace() -> None:
    model = Functional().train()
    before = [dict(module.__dict__) for module in model.modules()]
    unreplaced(model, images=torch.rand(1, 1, 4, 4))
    with pytest.raises(RuntimeError):
        unreplaced(model, images=torch.rand(1, 2, 4, 4))
    assert [dict(module.__dict__) for module in model.modules()] == before


def test_multihead_attention_is_listed_once() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = images.flatten(1).reshape(-1, 4, 4)
            mixed: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
            return mixed.mean(1)

    for training in (False, True):
        listed = unreplaced(Net().train(training), images=torch.rand(1, 1, 4, 4))
        assert listed == unreplaced(Net())


# ---- torch.compile


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_networks_compute_the_same() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3))
    images = torch.randn(2, 1, 5, 5)
    for layers, compute in (("conv", "gate"), ("all", "lowered")):
        net = approximate(network, design("axfpm"), layers=layers, compute=compute)
        torch.compiler.reset()
        compiled = torch.compile(net, backend="eager")
        assert torch.equal(compiled(images), net(images))
        gradients = []
        for each in (compiled, net):
            leaf = images.clone().requires_grad_()
            gradients.append(torch.autograd.grad(each(leaf).square().sum(), leaf)[0])
        assert torch.equal(*gradients)
        with pytest.raises(DesignError, match="activations must be float32 on the CPU"):
            compiled(images.double())


def test_unknown_and_ill_typed_hyperparameters_are_refused() -> None:
    for name, wrong in (("pgd", {"norm": "l2"}), ("hopskipjump", {"constraint": "linf"}), ("cw", {"version": 2})):
        (key,) = wrong
        with pytest.raises(DesignError) as error:
            attack(name, **wrong)  # type: ignore[arg-type]
        assert str(error.value).startswith(f"unknown hyperparameter {key!r} of {name}; {name} works in ")
        assert str(error.value).count("(") == len(attack(name).__dict__)
    for wrong in ({"steps": "9"}, {"steps": 2.5}, {"steps": True}, {"random_start": 1}, {"relative_step": torch.nan}):
        (key,) = wrong
        with pytest.raises(DesignError, match=rf"^pgd\.{key} must be (an integer|a number|True or False), but got "):
            attack("pgd", **wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_neither_layers_nor_looking_at_them_load_the_compiler() -> None:
    """Loading it takes seconds, which a forward pass should not cost."""
    script = (
        "import sys, torch; from circuits import design; from cnn_eval.layers.approximation import approximate\n"
        "from cnn_eval.layers.replaceable_layers import unreplaced\n"
        "net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 2)); images = torch.rand(1, 1, 3, 3)\n"
        "approximate(net, design('axfpm'))(images)\n"
        "print(unreplaced(net, images=images), 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "{} False\n"


# ---- what a command tells before it works


def test_an_audit_without_a_right_answer_is_refused_before_any_attack(
    nets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = load_user_images(nets / "mine.safetensors")
    labels = (predict(load_user_model("mynets:plain"), images) + 1) % 10
    monkeypatch.setattr("cnn_eval.audit.audit_run.Battery", None)  # nothing is attacked
    status = main(
        ["audit", "exact", "--model", "mynets:plain", "--data", save(nets, images, labels), "--samples", "10"]
    )
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert printed.err == (
        "error: at least one of the 10 images must be classified rightly by both networks, but exact is right on 0 and "
        "the exact network on 0, on none together; give other images or a trained network.\n"
    )


@pytest.mark.parametrize("command", ["attack", "margins"])
def test_a_design_that_is_called_like_the_control_is_refused(
    command: str, nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nets / "mine.toml").write_text(replace(design("heap"), name=CONTROL).to_toml())
    arguments = [str(nets / "mine.toml") if each == "axfpm" else each for each in COMMANDS[command]]
    assert main([*arguments, "--cache", str(nets)]) == 2
    assert capsys.readouterr().err == (
        f"error: a design must not be called '{CONTROL}', as another network here is; rename it.\n"
    )


@pytest.mark.parametrize("command", ["attack", "margins", "audit"])
def test_a_missing_library_is_told_before_any_work(
    command: str, nets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "foolbox"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "foolbox", None)
    monkeypatch.setattr("cnn_eval.models.inference.predict", None)
    extra = [] if command == "audit" else ["--cache", str(nets)]
    assert main([*COMMANDS[command], *extra]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: this attack needs the package 'foolbox', but it is not installed; run `pip ")
