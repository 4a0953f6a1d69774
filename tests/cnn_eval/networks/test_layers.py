"""approximate(): bit for bit as scalar loops, torch's conventions, what is refused, listed and recorded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scalar_layers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import DESIGNS, conv, convolutions, same, values
from lopsided import LOPSIDED_ARRAY
from torch import nn
from torch.nn.utils import prune

from circuits import Design, DesignError, UnknownNameError, design, error_metrics
from circuits.engine.matrix_products import gate_method
from circuits.engine.matrix_products.gate_method import LAYOUTS
from cnn_eval import approximate, recorded_operands, unreplaced
from cnn_eval.layers import recording
from cnn_eval.layers.approximate_layers import ApproximateConv2d, ApproximateLinear, approximate_layer
from cnn_eval.layers.approximation import recomputed
from cnn_eval.models.networks.lenet5 import LeNet5
from cnn_eval.support.thread_limits import torch_threads

# torch says once a process that it copies images for padding="same" with an even kernel.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")


@settings(max_examples=60, derandomize=True, deadline=None)
@given(convolutions(), st.sampled_from(DESIGNS), st.integers(0, 99), st.booleans())
def test_convolution_equals_a_scalar_loop(
    drawn: tuple[nn.Conv2d, tuple[int, int, int, int]], multiplier: Design, seed: int, corners: bool
) -> None:
    layer, shape = drawn
    x = values(shape, seed, corners=corners)
    out = approximate(layer, multiplier)(x)
    assert out.shape == layer(x).shape
    assert same(out, scalar_layers.convolution(layer, x.numpy(), multiplier.multiply))


def test_a_format_without_kernel_equals_a_scalar_loop() -> None:
    multiplier = Design(format="bfloat16", placement=LOPSIDED_ARRAY.placement, name="lopsided_bfloat16")
    layer, x = conv(stride=2, padding=1), values((2, 2, 6, 5), 3, corners=True)
    assert same(approximate(layer, multiplier)(x), scalar_layers.convolution(layer, x.numpy(), multiplier.multiply))


@pytest.mark.parametrize("multiplier", DESIGNS, ids=lambda multiplier: multiplier.name)
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("shape", [(1, 5, 3), (7, 1, 2), (600, 3, 2)])
def test_linear_equals_a_scalar_loop(multiplier: Design, corners: bool, shape: tuple[int, int, int]) -> None:
    rows, depth, columns = shape
    layer = nn.Linear(depth, columns, bias=False)
    layer.weight = nn.Parameter(values((columns, depth), 1, corners=corners))
    x = values((rows, depth), 2, corners=corners)
    out = approximate(layer, multiplier, layers="linear")(x)
    assert same(out, scalar_layers.linear(x.numpy(), layer.weight.detach().numpy(), multiplier.multiply))


def test_the_designs_of_these_tests_do_not_commute() -> None:
    """So the tests above would notice exchanged activations and weights."""
    x, w = values((50,), 0).numpy(), values((50,), 1).numpy()
    for multiplier in (design("axfpm_tiled"), LOPSIDED_ARRAY):
        assert not same(multiplier.multiply(x, w), multiplier.multiply(w, x))


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(
    ("batch", "channels", "filters", "groups", "layout"),
    [(1, 2, 5, 1, "narrow"), (1, 24, 96, 24, "strips"), (9, 2, 5, 1, "wide"), (1, 96, 96, 96, "windows")],
)
def test_every_layout_of_the_engine_is_used_and_equals_a_scalar_loop(
    batch: int, channels: int, filters: int, groups: int, layout: str, corners: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def recorded(name: str) -> Callable[..., None]:
        return lambda *arguments: used.append(name) or LAYOUTS[name](*arguments)

    monkeypatch.setattr(gate_method, "LAYOUTS", {name: recorded(name) for name in LAYOUTS})
    layer = nn.Conv2d(channels, filters, 3, groups=groups, bias=False)
    x = values((batch, channels, 10, 10), 4, corners=corners)
    out = approximate(layer, LOPSIDED_ARRAY)(x)
    assert used == [layout]
    assert same(out, scalar_layers.convolution(layer, x.numpy(), LOPSIDED_ARRAY.multiply))


def test_result_depends_neither_on_threads_nor_on_the_batch_split() -> None:
    network = approximate(
        nn.Sequential(conv(padding=1), nn.Flatten(), nn.Linear(3 * 64, 5)), LOPSIDED_ARRAY, layers="all"
    )
    x = values((70, 2, 8, 8), 5)
    with torch.no_grad():
        whole = network(x)
        for count in (1, 3):
            with torch_threads(count):
                assert same(network(x), whole)
                assert same(torch.cat([network(part) for part in torch.split(x, 9)]), whole)


def test_threads_share_the_columns_of_one_large_row() -> None:
    """Compared with enough rows to fill the lanes, which go through another kernel."""
    layer = nn.Linear(1100, 601)
    approximated, x = approximate(layer, LOPSIDED_ARRAY, layers="linear"), values((300, 1100), 15)
    with torch.no_grad():
        whole = approximated(x)
        for count in (1, 2, 5):
            with torch_threads(count):
                assert same(approximated(x[:1]), whole[:1])
                assert same(approximated(x[7:9]), whole[7:9])


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_weights_prepared_for_the_next_call_follow_changes_of_the_weights(kind: str) -> None:
    def expected(layer: nn.Module) -> np.ndarray:
        if isinstance(layer, nn.Linear):
            bare = scalar_layers.linear(x.numpy(), layer.weight.detach().numpy(), LOPSIDED_ARRAY.multiply)
            return np.asarray(bare + layer.bias.detach().numpy())
        bare = scalar_layers.convolution(layer, x.numpy(), LOPSIDED_ARRAY.multiply)
        return np.asarray(bare + layer.bias.detach().numpy()[:, None, None])

    model = nn.Linear(9, 7) if kind == "linear" else conv(out_channels=4, bias=True)
    x = values((1, 9) if kind == "linear" else (1, 2, 4, 4), 16)
    approximated = approximate(model, LOPSIDED_ARRAY, layers="all")
    before = copy.deepcopy(approximated.state_dict())
    with torch.no_grad():
        first = expected(approximated)
        assert same(approximated(x), first)
        approximated.weight.mul_(-1.5)
        assert same(approximated(x), expected(approximated))
        approximated.weight.data[0] += 1  # autograd's version does not see this
        approximated.bias.data.neg_()
        assert same(approximated(x), expected(approximated))
        assert not same(approximated(x), first)
        approximated.weight = nn.Parameter(approximated.weight.flip(0).transpose(0, 1).contiguous().transpose(0, 1))
        assert not approximated.weight.is_contiguous()
        assert same(approximated(x), expected(approximated))
        clone = copy.deepcopy(approximated)
        clone.load_state_dict(before)
        assert same(clone(x), first)
        assert same(approximated(x), expected(approximated))
    assert same(approximated(x), expected(approximated))  # with gradients
    approximated.weight = nn.Parameter(approximated.weight.detach().contiguous())
    prune.l1_unstructured(approximated, "weight", amount=0.5)
    assert same(approximated(x), expected(approximated))


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_threads_may_use_one_layer_at_a_time(kind: str) -> None:
    layer = nn.Linear(500, 60) if kind == "linear" else conv(out_channels=16, padding=1)
    x = values((40, 500) if kind == "linear" else (40, 2, 6, 6), 17)
    approximated = approximate(layer, LOPSIDED_ARRAY, layers="all")

    def run(first: int) -> list[torch.Tensor]:
        with torch.no_grad():
            return [approximated(x[k : k + 1]) for _ in range(5) for k in range(first, len(x), 4)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    with torch.no_grad():
        whole = approximated(torch.cat([x] * 8))[: len(x)]  # enough rows for the other kernel
    for first, found in enumerate(results):
        assert same(torch.cat(found), torch.cat([whole[first::4]] * 5))


def test_large_batches_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = conv(padding=1, groups=1), values((7, 2, 4, 4), 5)
    expected = approximate(layer, LOPSIDED_ARRAY)(x)
    monkeypatch.setattr("cnn_eval.layers.convolution._POSITIONS_PER_CALL", 32)
    assert same(approximate(layer, LOPSIDED_ARRAY)(x), expected)


def test_bias_is_added_after_the_products() -> None:
    layer = conv(bias=True)
    x = values((2, 2, 5, 5), 6)
    bare = scalar_layers.convolution(layer, x.numpy(), LOPSIDED_ARRAY.multiply)
    assert same(approximate(layer, LOPSIDED_ARRAY)(x), bare + layer.bias.detach().numpy()[:, None, None])
    layer = nn.Linear(4, 3)
    x = values((5, 4), 7)
    bare = scalar_layers.linear(x.numpy(), layer.weight.detach().numpy(), LOPSIDED_ARRAY.multiply)
    assert same(approximate(layer, LOPSIDED_ARRAY, layers="linear")(x), bare + layer.bias.detach().numpy())


@pytest.mark.parametrize("compute", ["gate", "lowered"])
def test_empty_single_unbatched_and_strided_inputs_equal_the_whole_batch(compute: str) -> None:
    layer, multiplier = conv(bias=True), design("axfpm_tiled")
    approximated = approximate(layer, multiplier, compute=compute)
    x = values((4, 2, 6, 6), 8)
    whole = approximated(x)
    equal = same if compute == "gate" else lambda a, b: torch.allclose(a, b, rtol=1e-5, atol=1e-5)
    assert approximated(x[:0]).shape == (0, 3, 4, 4)
    approximated(x[:0]).sum().backward()
    assert equal(approximated(x[:1]), whole[:1])
    assert equal(approximated(x[0]), whole[0])
    for strided in (x.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2), x.to(memory_format=torch.channels_last)):
        assert not strided.is_contiguous()
        assert equal(approximated(strided), whole)
    assert equal(approximated(x[::2]), whole[::2])

    linear = approximate(nn.Linear(6, 3), multiplier, layers="linear", compute=compute)
    rows = values((4, 2, 6), 9)
    whole = linear(rows)
    assert whole.shape == (4, 2, 3)
    assert linear(rows[:0]).shape == (0, 2, 3)
    linear(rows[:0]).sum().backward()
    assert equal(linear(rows[1, 1]), whole[1, 1])
    assert equal(linear(rows.transpose(0, 1)), whole.transpose(0, 1))


def test_a_module_that_stands_in_two_places_is_replaced_in_both() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = conv(in_channels=2, out_channels=2, padding=1)
            self.second = self.first

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.relu(self.first(x)))

    model, x = Twice(), values((2, 2, 5, 5), 10)
    for named in (LOPSIDED_ARRAY, {"second": LOPSIDED_ARRAY}, {"first": LOPSIDED_ARRAY, "second": LOPSIDED_ARRAY}):
        approximated = approximate(model, named)
        assert approximated.first is approximated.second
        inner = np.maximum(scalar_layers.convolution(model.first, x.numpy(), LOPSIDED_ARRAY.multiply), 0)
        assert same(approximated(x), scalar_layers.convolution(model.first, inner, LOPSIDED_ARRAY.multiply))
    approximated(x).sum().backward()  # both uses contribute, as in torch's own layer
    exact = approximate(model, design("exact"))
    exact(x).sum().backward()
    model(x).sum().backward()
    torch.testing.assert_close(exact.first.weight.grad, model.first.weight.grad, rtol=1e-4, atol=1e-4)
    with pytest.raises(DesignError) as error:
        approximate(model, {"first": LOPSIDED_ARRAY, "second": design("heap")})
    assert str(error.value) == (
        "a layer must have one design, but second is the same module as another named one and got "
        "heap (reconstructed) after lopsided; name it once."
    )


def test_the_original_stays_unchanged_and_state_dicts_are_interchangeable() -> None:
    model = LeNet5().train()
    before = copy.deepcopy(model.state_dict())
    approximated = approximate(model, LOPSIDED_ARRAY, layers="all")
    assert list(approximated.state_dict()) == list(before)
    assert approximated.training
    assert type(model.conv1) is nn.Conv2d
    with torch.no_grad():
        approximated.conv1.weight.add_(1)
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    approximated.load_state_dict(before)
    model.load_state_dict(approximated.state_dict())
    x = torch.rand(3, 1, 28, 28)
    clone = copy.deepcopy(approximated)
    with torch.no_grad():
        assert same(clone(x), approximated(x))
        clone.conv1.weight.zero_()
        assert not same(clone(x), approximated(x))
    assert clone.conv1.design == LOPSIDED_ARRAY


def test_layers_run_without_gradients_and_keep_their_hooks() -> None:
    model = nn.Sequential(conv())
    seen = []
    model[0].register_forward_hook(lambda *_: seen.append(1))
    approximated, x = approximate(model, LOPSIDED_ARRAY), values((1, 2, 5, 5), 11)
    assert approximated(x).requires_grad
    with torch.no_grad():
        assert not approximated(x).requires_grad
    assert len(seen) == 2


def test_a_mapping_gives_each_named_layer_its_own_design() -> None:
    model, x = LeNet5().eval(), torch.rand(2, 1, 28, 28)
    approximated = approximate(model, {"conv1": LOPSIDED_ARRAY, "fc1": design("heap")})
    assert isinstance(approximated.conv1, ApproximateConv2d)
    assert isinstance(approximated.fc1, ApproximateLinear)
    assert (approximated.conv1.design, approximated.fc1.design) == (LOPSIDED_ARRAY, design("heap"))
    assert type(approximated.conv2) is nn.Conv2d
    assert same(approximated.conv1(x), approximate(model.conv1, LOPSIDED_ARRAY)(x))
    only = approximate(model, LOPSIDED_ARRAY, layers="all", filter=lambda name, _: name in ("conv2", "fc3"))
    assert [name for name, module in only.named_modules() if hasattr(module, "design")] == ["conv2", "fc3"]


def test_unknown_choices_and_layers_name_the_nearest_ones() -> None:
    cases = [
        ({"design": {"conv3": LOPSIDED_ARRAY}}, "unknown layer 'conv3'; nearest: conv2, conv1, fc3."),
        ({"layers": "convs"}, "unknown choice of layers 'convs'; nearest: conv."),
        ({"backward": "exact"}, "unknown backward mode 'exact'; available: approximate, slope, ste, table1d, table2d."),
        ({"compute": "lower"}, "unknown way of computing 'lower'; nearest: lowered."),
    ]
    for arguments, message in cases:
        with pytest.raises(UnknownNameError) as error:
            approximate(LeNet5(), **{"design": LOPSIDED_ARRAY, **arguments})
        assert str(error.value) == message
    with pytest.raises(UnknownNameError):
        approximate_layer(LeNet5(), "conv1")


def test_the_old_name_of_compute_still_works_and_warns() -> None:
    layer, x = conv(), values((1, 2, 5, 5), 1)
    message = r"^the argument `mode` is now called `compute` and will be removed; write compute='lowered'\.$"
    with pytest.warns(DeprecationWarning, match=message):
        lowered = approximate(layer, design("axfpm"), mode="lowered")
    assert torch.equal(lowered(x), approximate(layer, design("axfpm"), compute="lowered")(x))
    with pytest.warns(DeprecationWarning, match=message):
        assert recomputed(approximate(layer, design("axfpm")), mode="lowered").compute == "lowered"


def test_automatic_products_are_the_bit_accurate_ones_and_the_layer_names_them() -> None:
    layer, x = conv(), values((1, 2, 5, 5), 1)
    automatic = approximate(layer, design("axfpm"))
    assert same(automatic(x), approximate(layer, design("axfpm"), compute="gate")(x))
    assert repr(automatic).endswith("design=axfpm, compute=gate, backward=ste)")


def test_what_cannot_be_computed_is_refused_with_whole_messages() -> None:
    layer = conv()
    approximated, x = approximate(layer, LOPSIDED_ARRAY), values((1, 2, 5, 5), 12)

    def message(action: object, *arguments: object, **options: object) -> str:
        with pytest.raises(DesignError) as error:
            action(*arguments, **options)  # type: ignore[operator]
        return str(error.value)

    assert message(approximated, x.double()) == (
        "activations must be float32 on the CPU or a CUDA device, but are torch.float64 on cpu; convert them."
    )
    assert message(copy.deepcopy(approximated).double(), x) == (
        "weights must be float32 on the CPU or a CUDA device, but are torch.float64 on cpu; convert them."
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert message(approximated, x) == (
            "autocast must be off, but is on for the CPU; approximate layers compute in float32."
        )
    assert (
        message(approximated, x[:, :1])
        == "activations must be [B, 2, H, W] or [2, H, W], but are [1, 1, 5, 5]; reshape them."
    )
    assert message(approximated, x[..., :2]) == (
        "images must cover the kernel, (3, 3) with dilation (1, 1) and padding (0, 0), but are (5, 2); give larger "
        "ones."
    )
    linear = approximate(nn.Linear(3, 2), LOPSIDED_ARRAY, layers="linear")
    assert message(linear, torch.rand(2, 4)) == "activations must be [..., 3], but are [2, 4]; reshape them."
    assert message(approximate, nn.Linear(3, 2), LOPSIDED_ARRAY) == (
        "the model must have a layer to replace, but layers='conv' and the filter leave none of its 1 Conv2d and "
        "Linear layers; choose other layers."
    )
    assert message(approximate, LeNet5(), {"conv1": Design(format=None, width=8, name="mul8")}) == (
        "layer conv1 is not quantised and needs a design with a float format, but mul8 has format=None; quantise the "
        "network first: cnn_eval.quantize, or --quantize on the command line."
    )


class Scaled(nn.Conv2d):
    """A user's subclass."""


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.good = nn.Conv2d(1, 1, 1)
        self.signal = nn.Conv1d(1, 1, 1)
        self.up = nn.ConvTranspose2d(1, 1, 1)
        self.own = Scaled(1, 1, 1)
        self.attention = nn.MultiheadAttention(4, 2)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8)
        self.cell = nn.LSTM(2, 2)
        self.words = nn.Embedding(3, 2)
        self.norm = nn.LayerNorm((2, 2))
        self.batch = nn.BatchNorm2d(1)
        self.free = nn.ParameterList([torch.zeros(2, 2), torch.zeros(3)])
        self.lazy = nn.LazyLinear(2)
        self.pruned = nn.Linear(2, 2)
        prune.identity(self.pruned, "weight")


def test_what_cannot_be_replaced_is_listed() -> None:
    fast = "Linear whose TransformerEncoderLayer may multiply by its weights without calling it"
    everywhere = {
        "attention": "MultiheadAttention",
        "encoder.self_attn": "MultiheadAttention",
        "cell": "LSTM",
        "free": "ParameterList",
    }
    convolutions = {"signal": "Conv1d", "up": "ConvTranspose2d", "own": "Scaled, a subclass of Conv2d"}
    linear = {
        "attention.out_proj": "NonDynamicallyQuantizableLinear, a subclass of Linear",
        "encoder.self_attn.out_proj": "NonDynamicallyQuantizableLinear, a subclass of Linear",
        "encoder.linear1": fast,
        "encoder.linear2": fast,
        "lazy": "LazyLinear, a subclass of Linear",
        "pruned": "Linear with a computed weight (pruning or weight normalisation); make it permanent",
    }
    model = Attentive()
    assert unreplaced(model) == everywhere | convolutions | linear
    assert unreplaced(model, "conv") == everywhere | convolutions
    assert unreplaced(model, "linear") == everywhere | linear
    assert unreplaced(LeNet5()) == {}
    assert unreplaced(approximate(LeNet5(), LOPSIDED_ARRAY)) == {
        "conv1": "ApproximateConv2d: approximate already",
        "conv2": "ApproximateConv2d: approximate already",
    }
    with pytest.raises(DesignError) as error:
        approximate(model, {"own": LOPSIDED_ARRAY})
    assert str(error.value) == ("layer own cannot be replaced (Scaled, a subclass of Conv2d); leave it out.")
    with pytest.raises(DesignError) as error:
        approximate(model, LOPSIDED_ARRAY)
    assert str(error.value) == (
        "the model cannot be copied (Only Tensors created explicitly by the user (graph leaves) support "
        "the deepcopy protocol at the moment); make pruning or weight normalisation permanent first."
    )
    with pytest.raises(UnknownNameError):
        unreplaced(model, "convs")


@pytest.mark.slow
def test_recorded_operands_are_those_that_the_multiplier_received() -> None:
    model = nn.Sequential(conv(in_channels=4, groups=2, out_channels=2, padding=1, stride=2), nn.Flatten())
    model.append(nn.Linear(2 * 9, 3))
    approximated = approximate(model, LOPSIDED_ARRAY, layers="all", record=True)
    images = values((6, 4, 5, 6), 13)
    with torch.no_grad():
        approximated(images[:2])
        approximated(images[2:])
        hidden = approximated[:2](images)
    met: set[tuple[float, float]] = set()
    for image in images.numpy():
        weight = model[0].weight.detach().numpy()
        padded = scalar_layers.pad(image, scalar_layers.sides(model[0]), "zeros")
        for _, _, _, c, y, x, at in scalar_layers.places(model[0], padded):
            met.add((float(padded[c, y, x]), float(weight[at])))
    x, w = recorded_operands(approximated, "0", samples=50_000, seed=1)
    assert x.dtype == w.dtype == np.float32
    drawn = set(zip(x.tolist(), w.tolist(), strict=True))
    assert drawn <= met
    assert len(drawn) > 0.99 * len(met)
    again = recorded_operands(approximated, "0", samples=50_000, seed=1)
    assert np.array_equal(again[0], x)
    assert np.array_equal(again[1], w)
    assert error_metrics(LOPSIDED_ARRAY, operands=(x, w)).method == "trace"

    rows, weights = hidden.numpy(), model[2].weight.detach().numpy()
    met = {(float(row[k]), float(weights[n, k])) for row in rows for n in range(3) for k in range(18)}
    assert (
        set(zip(*(array.tolist() for array in recorded_operands(approximated, "2", samples=9000)), strict=True)) == met
    )


def test_recording_follows_the_weights_and_bounds_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    approximated = approximate(
        nn.Sequential(nn.Linear(4, 1, bias=False)), design("axfpm"), layers="linear", record=True
    )

    def message(**options: int) -> str:
        with pytest.raises(DesignError) as error:
            recorded_operands(approximated, "0", **options)
        return str(error.value)

    assert message() == "layer 0 has recorded no operands yet; run the model first."
    assert message(samples=0) == ("1 <= samples <= 100000000 must hold, but got 0; choose a number in between.")
    approximated(torch.full((3, 4), 7.0))
    with torch.no_grad():
        approximated[0].weight.fill_(2)
    assert message() == "the weights of layer 0 changed after its operands were recorded; run the model again."
    monkeypatch.setattr(recording, "RECORD_BYTES", 20 * 16)
    rows = torch.arange(1000.0)[:, None].repeat(1, 4)
    for part in torch.split(rows, 77):
        approximated(part)
    kept = torch.stack(approximated[0].recording.images)[:, 0]
    assert len(kept) == 20
    assert kept.min() < 300  # a sample of all, not the first or the last
    assert kept.max() > 700
    x, w = recorded_operands(approximated, "0", samples=1000)
    assert set(x.tolist()) == set(kept.tolist())
    assert set(w.tolist()) == {2.0}
    approximated = approximate(nn.Linear(4, 1), design("axfpm"), layers="linear")
    with pytest.raises(DesignError) as error:
        recorded_operands(approximated, "")
    assert str(error.value) == ("layer  does not record its operands; make the model with approximate(record=True).")
