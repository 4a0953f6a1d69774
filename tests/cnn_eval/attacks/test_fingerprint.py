"""The digest of what a network computes, and the cache of crafted examples that it keys."""

from __future__ import annotations

import functools
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from cnn_eval import load_model, predict
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.data.loading import load
from cnn_eval.examples import example_cache
from cnn_eval.examples.example_cache import craft
from cnn_eval.examples.network_fingerprint import model_digest
from cnn_eval.support.verified_files import sha256, tensor_bytes, tensor_digest

HELPERS = """
from functools import lru_cache
GAIN = 1.0
def offset(x):
    return x - shift(x)
def shift(x):
    return 0.5
@lru_cache
def cached_gain():
    return 2.0
"""
NETWORK = """
import functools
import torch
from torch import nn
import mine_helpers
from mine_helpers import offset

class Plain:
    factor = 3.0
    def __init__(self):
        self.power = 1.0
    def __call__(self, x):
        return self.factor * x ** self.power

class Base(nn.Module):
    slope = 0.1
    def forward(self, x):
        # the base class decides
        return self.after(self.inner((x - self.mean) / self.std["all"]))
    def after(self, x):
        return self.call(x) * self.scale * mine_helpers.GAIN
    @property
    def scale(self):
        return 1.25
    @staticmethod
    def bend(x):
        return x * 7.0

def tilt(x, by=0.0):
    import mine_helpers as late
    return x + by * late.cached_gain()

class Net(Base):
    def __init__(self):
        super().__init__()
        self.mean = torch.tensor([0.25])
        self.std = {"all": 2.0, "none": (1, [4])}
        self.plain = Plain()
        self.call = functools.partial(tilt, by=6.0)
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    def forward(self, x):
        return offset(super().forward(self.plain(self.bend(x))))

def build():
    torch.manual_seed(0)
    return Net().eval()
"""


def build(network: str = NETWORK, helpers: str = HELPERS) -> nn.Module:
    """The network of the two texts, as importing them gives it."""
    for name, text in (("mine_helpers", helpers), ("mine", network)):
        module = types.ModuleType(name)
        sys.modules[name] = module
        exec(compile(text, name, "exec"), vars(module))
    result: nn.Module = sys.modules["mine"].build()
    return result


@pytest.mark.slow
def test_the_same_network_has_the_same_digest_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(NETWORK)
    (tmp_path / "mine_helpers.py").write_text(HELPERS)
    script = (
        "from mine import build; from cnn_eval.examples.network_fingerprint import model_digest; "
        "print(model_digest(build()))"
    )
    path = [str(tmp_path), *sys.path]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {script}"]
    printed = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)]
    commented = NETWORK.replace("# the base class decides", "# another comment\n")
    assert set(printed) == {model_digest(build()), model_digest(build(commented))}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("slope = 0.1", "slope = 0.2"),
        ("self.after(self.inner(", "self.after(1 + self.inner("),
        ("return 1.25", "return 1.5"),
        ("x * 7.0", "x * 8.0"),
        ("factor = 3.0", "factor = 4.0"),
        ("self.power = 1.0", "self.power = 2.0"),
        ("torch.tensor([0.25])", "torch.tensor([0.75])"),
        ('"all": 2.0', '"all": 2.5'),
        ("(1, [4])", "(1, [5])"),
        ("by=6.0", "by=5.0"),
        ("x + by * late", "x - by * late"),
        ("nn.Flatten()", "nn.Flatten(1, -1), nn.ReLU()"),
        ("nn.Linear(4, 3)", "nn.Linear(4, 3).double()"),
        ("manual_seed(0)", "manual_seed(1)"),
        ("GAIN = 1.0", "GAIN = 1.5"),
        ("return x - shift(x)", "return x + shift(x)"),
        ("return 0.5", "return 0.25"),
        ("return 2.0", "return 4.0"),
    ],
)
def test_every_edit_that_changes_the_function_changes_the_digest(before: str, after: str) -> None:
    assert NETWORK.count(before) + HELPERS.count(before) == 1
    original = model_digest(build())
    assert model_digest(build(NETWORK.replace(before, after), HELPERS.replace(before, after))) != original


def _hook(factor: float) -> Callable[..., torch.Tensor]:
    return lambda _module, _inputs, output: factor * output


def _hooked(model: nn.Module, factor: float) -> None:
    model.register_forward_hook(_hook(factor))


def _partly_hooked(model: nn.Module, factor: float) -> None:
    def scale(by: float, _module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return by * inputs[0]

    model.get_submodule("inner").register_forward_pre_hook(functools.partial(scale, factor))


def _method_exchanged(model: nn.Module, factor: float) -> None:
    model.forward = types.MethodType(lambda self, x: factor * self.inner(x), model)  # type: ignore[method-assign]


def _class_exchanged(model: nn.Module, factor: float) -> None:
    type(model).after = lambda self, x: factor * x  # type: ignore[attr-defined]


def _hidden_buffer(model: nn.Module, factor: float) -> None:
    model.register_buffer("hidden", torch.tensor(factor), persistent=False)


def _in_half(model: nn.Module, factor: float) -> None:
    model.get_submodule("inner").to(torch.bfloat16 if factor > 2 else torch.float16)


def _parametrised(model: nn.Module, factor: float) -> None:
    class Times(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return factor * weight

    nn.utils.parametrize.register_parametrization(model.get_submodule("inner.1"), "weight", Times())


@pytest.mark.parametrize(
    "change",
    [_hooked, _partly_hooked, _method_exchanged, _class_exchanged, _hidden_buffer, _in_half, _parametrised],
)
def test_attributes_and_hooks_attached_at_run_time_change_the_digest(
    change: Callable[[nn.Module, float], None],
) -> None:
    digests = [model_digest(build())]
    for factor in (2.0, 3.0, 3.0):
        model = build()
        change(model, factor)
        digests.append(model_digest(model))
    assert len(set(digests)) == 3
    assert digests[2] == digests[3]


def test_global_hooks_change_the_digest() -> None:
    model = build()
    before = model_digest(model)
    handle = nn.modules.module.register_module_forward_hook(_hook(2.0))
    try:
        assert model_digest(model) != before
    finally:
        handle.remove()
    assert model_digest(model) == before


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_cycles_and_traced_networks_have_a_digest() -> None:
    model = build()
    model.myself = [model]
    assert model_digest(model) != model_digest(build())
    layers = [nn.Sequential(nn.Linear(2, 2), each) for each in (nn.ReLU(), nn.Sigmoid())]
    for layer in layers:
        layer.load_state_dict(layers[0].state_dict())
    assert len({model_digest(torch.fx.symbolic_trace(layer)) for layer in layers}) == 2
    assert len({model_digest(torch.jit.trace(layer, torch.ones(1, 2))) for layer in layers}) == 2  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_tensor_bytes_cover_every_dtype_and_layout() -> None:
    plain = torch.tensor([[1.0, 0.0], [2.0, 3.0]])
    assert tensor_bytes(plain.T) == plain.T.contiguous().numpy().tobytes()
    assert tensor_digest(plain) == sha256(plain.numpy().tobytes())
    assert tensor_bytes(plain.to_sparse()) == tensor_bytes(plain)
    assert tensor_bytes(plain.to(torch.bfloat16)) == plain.to(torch.bfloat16).view(torch.int16).numpy().tobytes()
    assert tensor_bytes(torch.tensor(True)) == b"\x01"
    assert tensor_bytes(torch.empty(0, 3)) == b""
    complex_ = torch.complex(plain, plain)
    assert tensor_bytes(complex_.conj()) == complex_.conj().resolve_conj().numpy().tobytes()
    quantised = torch.quantize_per_tensor(plain, 1.0, 0, torch.quint8)
    assert tensor_bytes(quantised) == tensor_bytes(plain)


# ---- the cache of crafted examples


class Normalised(nn.Module):
    """LeNet-5 behind a normalisation by plain attributes."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.lenet5 = load_model("lenet5")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.lenet5((images - self.mean) / self.std)
        return logits


def test_examples_are_not_reused_for_another_normalisation(tmp_path: Path) -> None:
    images = load()
    batch = images.images[:20], images.labels[:20]
    for network in (Normalised(0, 1), Normalised(0.1, 0.5)):
        found = craft(network, FGSM(), *batch, mode="budget", epsilon=0.15, cache=tmp_path)
        alone = craft(network, FGSM(), *batch, mode="budget", epsilon=0.15)
        assert not found.reused
        assert torch.equal(found.adversarial, alone.adversarial)


class Secret(nn.Module):
    """A network whose function has a part that no digest can see."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        brightness = images.flatten(1).mean(1)
        bright = brightness + float(functional.__dict__.get("secret_shift", 0))
        return torch.stack([0.5 - bright, bright - 0.5], 1)


def test_on_reuse_the_stored_classes_must_be_those_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.linspace(0, 1, 6)[:, None, None, None].expand(6, 1, 4, 4).contiguous()
    labels = (images[:, 0, 0, 0] > 0.5).long()
    monkeypatch.setattr(example_cache, "model_digest", lambda _: "blind")
    how = {"mode": "budget", "epsilon": 0.05, "cache": tmp_path}
    first = craft(Secret(), FGSM(), images, labels, **how)  # type: ignore[arg-type]
    assert craft(Secret(), FGSM(), images, labels, **how).reused  # type: ignore[arg-type]
    monkeypatch.setattr(functional, "secret_shift", 10, raising=False)
    again = craft(Secret(), FGSM(), images, labels, **how)  # type: ignore[arg-type]
    assert again.damage is not None
    assert again.damage == (
        f"{first.path} must hold the classes that the attacked network gives, but 3 of 6 under 'clean_class' are "
        "others; the entry is not used."
    )
    assert torch.equal(again.clean_class, predict(Secret(), images))
    assert craft(Secret(), FGSM(), images, labels, **how).reused  # type: ignore[arg-type]
