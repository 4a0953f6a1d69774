"""quantize(): folding, scales, what stays float, files, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from layer_cases import conv, values
from torch import nn
from torch.nn import functional

from circuits import Design, DesignError
from cnn_eval import (
    Accumulator,
    DataError,
    approximate,
    load_images,
    load_model,
    load_quantized,
    predict,
    quantize,
    recover,
    save_quantized,
)
from cnn_eval.measure.network_accuracy import base_network
from cnn_eval.models.inference import logits
from cnn_eval.quantized.folding import fold_batch_norms
from cnn_eval.quantized.quantized_files import is_quantized_file
from cnn_eval.quantized.quantized_layers import layers_of_integers

SIGNED = Design(format=None, width=8, signed=True, topology="dadda")
UNSIGNED = Design(format=None, width=8, topology="dadda")


class Branches(nn.Module):
    """Batch normalisation where it can be folded and where it cannot, a skip connection, a depthwise layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.depthwise_bn = nn.BatchNorm2d(4, affine=False)
        self.shared = nn.Conv2d(4, 4, 1)
        self.shared_bn = nn.BatchNorm2d(4)
        self.rectified_bn = nn.BatchNorm2d(4)
        self.hidden = nn.Linear(4, 5)
        self.hidden_bn = nn.BatchNorm1d(5)
        self.transposed = nn.ConvTranspose2d(4, 4, 1)
        self.unused = nn.Linear(2, 2)
        self.head = nn.Linear(5, 3)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.uniform_(module.running_mean, -1, 1)
                nn.init.uniform_(module.running_var, 0.5, 2)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem_bn(self.stem(x)))
        y = self.depthwise_bn(self.depthwise(x))
        z = self.shared(y)
        y = functional.relu(self.shared_bn(z)) + z  # z has two readers
        if float(y.detach().sum()) > -1e9:  # torch.fx cannot trace this
            y = self.rectified_bn(functional.relu(y)) + x
        y = self.transposed(y)
        return self.head(functional.relu(self.hidden_bn(self.hidden(y.mean((2, 3))))))


def images(count: int = 20, seed: int = 0) -> torch.Tensor:
    return values((count, 3, 6, 6), seed).clamp(-3, 3)


def test_batch_normalisation_is_folded_where_it_alone_reads_a_layer() -> None:
    model, x = Branches(), images()
    folded, names, left = fold_batch_norms(model, x)
    assert names == ["stem_bn", "depthwise_bn", "hidden_bn"]
    reason = "BatchNorm2d not directly behind a convolution or linear layer that it alone reads"
    assert left == {"shared_bn": reason, "rectified_bn": reason}
    torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-5)
    assert isinstance(folded.stem_bn, nn.Identity)
    assert model.stem.bias is None


def test_what_stays_float_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    network = quantize(Branches(), images())
    assert set(network.kept_float) == {"shared_bn", "rectified_bn", "transposed", "unused"}
    assert network.kept_float["unused"] == "Linear that the forward does not call"
    note = capsys.readouterr().err
    assert note.startswith("note: layers that stay float: shared_bn (BatchNorm2d not directly behind")
    assert note.count("\n") == 1
    assert list(layers_of_integers(network)) == ["stem", "depthwise", "shared", "hidden", "head"]
    ends = quantize(Branches(), images(), first_last="exact")
    assert list(layers_of_integers(ends)) == ["depthwise", "shared", "hidden"]
    assert type(ends.stem) is nn.Conv2d
    assert ends.kept_float["head"] == "Linear, first or last layer"


@pytest.mark.parametrize("scheme", ["int8", "uint8", "sign_magnitude"])
@pytest.mark.parametrize("calibration", ["percentile", "minmax", "least_squares"])
def test_quantised_networks_are_near_the_float_one(scheme: str, calibration: str) -> None:
    model, x = Branches(), images(100)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    network = quantize(model, x, scheme=scheme, calibration=calibration)
    with torch.no_grad():
        error = (network(x) - model(x)).square().mean().sqrt() / model(x).std()
    assert float(error) < 0.05
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_more_bits_are_more_exact() -> None:
    model, x = Branches(), images(50)
    errors = [
        float((logits(quantize(model, x, scheme="int8", bits=bits, calibration="minmax"), x) - logits(model, x)).std())
        for bits in (3, 5, 8, 12, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3 * errors[0]


def test_each_scheme_has_its_scales_and_zero_points() -> None:
    layer = conv(1, in_channels=1, out_channels=2, kernel_size=1)
    layer.weight.data = torch.tensor([-2.0, 0.5]).reshape(2, 1, 1, 1)
    x = torch.linspace(-1, 3, 400).reshape(1, 1, 20, 20)
    found = {
        scheme: quantize(layer, x, scheme=scheme, calibration="minmax", bits=(8, 4))
        for scheme in ("int8", "uint8", "sign_magnitude")
    }
    np.testing.assert_allclose(found["int8"].input_scale, 3 / 127, rtol=1e-6)
    np.testing.assert_allclose(found["int8"].weight_scale, [2 / 7, 0.5 / 7], rtol=1e-6)
    np.testing.assert_allclose(found["sign_magnitude"].input_scale, 3 / 255, rtol=1e-6)
    np.testing.assert_allclose(found["sign_magnitude"].weight_scale, [2 / 15, 0.5 / 15], rtol=1e-6)
    np.testing.assert_allclose(found["uint8"].input_scale, 4 / 255, rtol=1e-6)
    assert int(found["uint8"].input_zero_point) == 64
    assert found["uint8"].weight_zero_point.tolist() == [15, 0]


def test_each_calibration_takes_its_range() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 1, 40, 40, generator=generator)
    x[0, 0, 0, 0] = 50
    layer = conv(1, in_channels=1)
    scales = {
        name: float(quantize(layer, x, scheme="int8", calibration=name).input_scale) * 127
        for name in ("minmax", "percentile", "least_squares")
    }
    assert scales["minmax"] == pytest.approx(50)
    assert scales["percentile"] == pytest.approx(float(np.quantile(np.abs(x.numpy()), 0.999)), abs=5e-3)
    # Clamping one value costs 40^2 / 102,400, rounding all of them to steps of 50 / 127 about 1/77.
    assert 10 <= scales["least_squares"] < 45
    affine = quantize(layer, x, scheme="uint8", calibration="percentile")
    low, high = np.quantile(x.numpy(), [0.001, 0.999])
    assert float(affine.input_scale) * 255 == pytest.approx(high - low, abs=4e-3)


def test_least_squares_beats_every_other_part_of_the_range() -> None:
    x = values((50, 1, 10, 10), 2)
    layer = conv(1, in_channels=1)

    def error(network: nn.Module) -> float:
        rounded = network.input_grid.centred(x) * network.input_scale
        return float((rounded - x).double().square().sum())

    errors = [
        error(quantize(layer, x, scheme="int8", calibration=name)) for name in ("least_squares", "minmax", "percentile")
    ]
    assert errors[0] <= 1.001 * min(errors)
    assert errors[0] < errors[1]


def test_auto_takes_the_scheme_of_the_first_design() -> None:
    model, x = Branches(), images()
    auto = quantize(model, x)
    assert {layer.scheme for layer in layers_of_integers(auto).values()} == {"int8"}
    for design, scheme in ((SIGNED, "int8"), (UNSIGNED, "uint8")):
        through = approximate(auto, design)
        # Exact designs in the convolutions, and the linear layers of the same scheme without a design.
        assert torch.equal(through(x), quantize(model, x, scheme=scheme)(x))
        assert {layer.scheme for layer in layers_of_integers(through).values()} == {scheme}
    mixed = approximate(auto, {"stem": SIGNED, "shared": UNSIGNED})
    assert (mixed.stem.scheme, mixed.shared.scheme, mixed.head.scheme) == ("int8", "uint8", "int8")
    assert {layer.scheme for layer in layers_of_integers(auto).values()} == {"int8"}


def test_layers_without_a_design_stay_exact() -> None:
    x = images()
    network = quantize(Branches(), x, scheme="int8")
    through = approximate(network, {"depthwise": SIGNED})
    assert through.depthwise.design == SIGNED
    assert through.stem.design is None
    assert torch.equal(through(x), network(x))


@pytest.mark.parametrize("scheme", ["int8", "uint8", "sign_magnitude"])
def test_a_file_holds_the_whole_quantised_network(scheme: str, tmp_path: Path) -> None:
    x = images()
    network = quantize(Branches(), x, scheme=scheme, bits=(6, 5), accumulator=Accumulator(24, "wrap"))
    path = tmp_path / "network.safetensors"
    save_quantized(network, path)
    other = Branches()
    nn.init.zeros_(other.stem.weight)
    loaded = load_quantized(other, path)
    assert torch.equal(loaded(x), network(x))
    assert loaded.kept_float == network.kept_float
    assert loaded.stem.accumulator == Accumulator(24, "wrap")
    assert all(
        torch.equal(layer.weight_codes, layers_of_integers(loaded)[name].weight_codes)
        for name, layer in layers_of_integers(network).items()
    )
    assert is_quantized_file(path)


def test_a_recovery_is_part_of_the_file_and_only_for_designs(tmp_path: Path) -> None:
    x = images()
    network = quantize(Branches(), x, scheme="int8")
    rough = Design(format=None, width=8, signed=True, truncate_columns=8)
    recovered = recover(approximate(network, rough), x)
    save_quantized(recovered, tmp_path / "network.safetensors")
    loaded = load_quantized(Branches(), tmp_path / "network.safetensors")
    assert torch.equal(loaded(x), network(x))
    assert torch.equal(approximate(loaded, rough)(x), recovered(x))


def test_files_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_quantized(quantize(Branches(), images()), path)
    with pytest.raises(DataError, match="must hold the quantised tensors of the model, but does not fit it"):
        load_quantized(nn.Sequential(nn.Linear(3, 2)), path)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(path.read_bytes()[:-100])
    assert not is_quantized_file(damaged)
    for file in (damaged, tmp_path / "missing.safetensors"):
        with pytest.raises(DataError, match=str(file.name)):
            load_quantized(Branches(), file)
    with pytest.raises(
        DesignError, match=r"^the network to save must be quantised, but has no quantised layer; make it"
    ):
        save_quantized(Branches(), path)


def test_weights_of_a_quantised_network_are_loaded_by_name(tmp_path: Path) -> None:
    x = load_images("mnist", samples=40)[0]
    network = quantize(load_model("lenet5"), x, scheme="uint8")
    save_quantized(network, tmp_path / "lenet5.safetensors")
    assert torch.equal(logits(base_network("lenet5", tmp_path / "lenet5.safetensors"), x), logits(network, x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "int4"}, r"unknown quantisation scheme 'int4'"),
        ({"bits": 1}, r"bits must be 2 to 16, or a pair for activations and weights, but got 1; choose others\."),
        ({"bits": (8, 17)}, r"bits must be 2 to 16, or a pair for activations and weights, but got \(8, 17\); choose"),
        ({"calibration": "entropy"}, r"unknown calibration 'entropy'"),
        ({"first_last": "float"}, r"unknown choice for the first and the last layer 'float'"),
        (
            {"images": torch.zeros(4, 3, 6, 6)},
            r"calibration images must differ from pixel to pixel, but every pixel is 0; give real images\.",
        ),
        ({"images": torch.full((4, 3, 6, 6), 0.5)}, r"calibration images must differ .* but every pixel is 0\.5; give"),
        ({"images": torch.zeros(0, 3, 6, 6)}, r"calibration images must be a float32 tensor \[N, C, H, W\], but are "),
        ({"images": torch.zeros(4, 3, 6, 6, dtype=torch.uint8)}, r"calibration images must be a float32 tensor"),
        ({"images": torch.tensor([1.0, torch.inf]).expand(2, 3, 6, 2)}, r"calibration images must be finite, but hold"),
    ],
)
def test_quantize_refuses_arguments_with_the_reason(arguments: dict[str, object], message: str) -> None:
    given = {"images": images(), **arguments}
    with pytest.raises(DesignError, match=f"^{message}"):
        quantize(Branches(), given.pop("images"), **given)  # type: ignore[arg-type]


def test_networks_that_cannot_be_quantised_are_refused() -> None:
    with pytest.raises(
        DesignError, match=r"^the model must have a layer to quantise, but none of its Conv2d and Linear"
    ):
        quantize(nn.Sequential(nn.Flatten(), nn.ReLU()), images())
    network = quantize(Branches(), images())
    with pytest.raises(DesignError, match=r"^the network to quantise must be float throughout, but has quantised or "):
        quantize(network, images())
    model = Branches()
    model.stem.weight.data[0, 0] = torch.nan
    with pytest.raises(
        DesignError, match=r"^calibration images must give finite values, but layer depthwise gets nan or"
    ):
        quantize(model, images())
    model = Branches()
    model.head.weight.data[0, 0] = torch.inf
    with pytest.raises(DesignError, match=r"^weights must be finite, but those of layer head are not; check them\.$"):
        quantize(model, images())


@pytest.mark.parametrize(
    ("scheme", "design", "message"),
    [
        (
            "int8",
            UNSIGNED,
            r"layer stem is quantised \(int8\) and needs a design that is signed of 8 x 8 bits, but .* is unsigned of "
            r"8 x 8 bits; give another design, or quantise with its scheme and bits\.",
        ),
        ("uint8", SIGNED, r"layer stem is quantised \(uint8\) and needs a design that is unsigned of 8 x 8 bits"),
        ("uint8", Design(format=None, width=(8, 4)), r"layer stem .* is unsigned of 8 x 4 bits; give another design"),
        ("auto", Design(format=None, width=9), r"layer stem .* is unsigned of 9 x 9 bits; give another design"),
        (
            "int8",
            Design(),
            r"layer stem is quantised \(int8, 8 x 8 bits\) and needs an integer design, format=None, but",
        ),
    ],
)
def test_designs_that_do_not_fit_the_codes_are_refused(scheme: str, design: Design, message: str) -> None:
    network = quantize(Branches(), images(), scheme=scheme)
    with pytest.raises(DesignError, match=f"^{message}"):
        approximate(network, design)


def test_an_integer_design_needs_a_quantised_network() -> None:
    with pytest.raises(
        DesignError, match=r"^layer stem is not quantised and needs a design with a float format, but .* "
    ):
        approximate(Branches(), UNSIGNED)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["int8", "uint8", "sign_magnitude"])
def test_resnet8_of_exact_integers_loses_less_than_half_a_point(scheme: str) -> None:
    model, (x, labels) = load_model("resnet8"), load_images("cifar10")
    network = quantize(model, load_images("cifar10", "train", samples=500)[0], scheme=scheme)
    exact, float_ = (float((predict(each, x) == labels).float().mean()) for each in (network, model))
    assert not network.kept_float
    assert len(x) == 1000
    assert abs(exact - float_) <= 0.005
