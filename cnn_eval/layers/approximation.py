"""`approximate`: a torch network whose convolution and linear layers multiply through a design."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import nn
from torch._compile import _disable_dynamo
from torch.nn import functional

from circuits import Design, DesignError
from circuits.errors import unknown_name
from cnn_eval.layers.bilinear_products import LoweredProducts, SlopeProducts
from cnn_eval.layers.compute_choice import compute_mode
from cnn_eval.layers.convolution import Geometry, Pair
from cnn_eval.layers.layer_products import ExactProducts, GateProducts, Products, apply
from cnn_eval.layers.observed import observe
from cnn_eval.layers.recording import Recording

__all__ = [
    "BACKWARD",
    "LAYERS",
    "MODES",
    "ApproximateConv2d",
    "ApproximateLinear",
    "approximate",
    "approximate_layer",
    "recomputed",
    "unreplaced",
]

LAYERS = ("conv", "linear", "all")
BACKWARD = ("ste", "approximate", "slope")
MODES = ("gate", "lowered")

LayerFilter = Callable[[str, nn.Module], bool]


def approximate(
    model: nn.Module,
    design: Design | Mapping[str, Design],
    *,
    layers: str = "conv",
    filter: LayerFilter | None = None,
    backward: str = "ste",
    compute: str = "auto",
    record: bool = False,
    mode: str | None = None,
) -> nn.Module:
    """A copy of `model` whose Conv2d and/or Linear layers multiply through `design`; the original is left alone.

    `design`: one for all, or layer name -> design for those named and no others (`layers` and `filter` are then not
    looked at). `layers`: "conv", "linear" or "all". `filter(name, module)` keeps a layer exact by returning False.
    `unreplaced(model)` lists what stays exact because it cannot be replaced.

    `compute`: "gate" computes every product bit-accurately and adds in float32 in ascending k; "lowered" computes
    designs that are bilinear forms through torch's own products, within the bound of `LoweredProducts`; "auto" takes
    the fastest bit-accurate way. `mode`: its former name, accepted in this version.

    `backward`, for the gradients: "ste" (straight-through estimator: those of the exact products), "approximate" (the
    gradients' products through the design as `compute` says, see `GateProducts`), "slope" (those of the bilinear form,
    see `SlopeProducts`). They can be differentiated once. The bias is added exactly.

    `record=True` keeps operands for `recorded_operands`. Everything is float32 on the CPU. Threads:
    torch.get_num_threads(). The state_dict keeps the original's keys; hooks stay.

    Raises DesignError for unknown names, for designs that the mode or the gradients do not serve, for layers that
    cannot be replaced and where no layer is replaced.
    """
    mode = compute_mode(compute, mode)
    for what, value, valid in (("choice of layers", layers, LAYERS), ("backward mode", backward, BACKWARD)):
        _check_choice(what, value, valid)
    candidates, obstacles = _survey(model)
    if isinstance(design, Mapping):
        for name in design:
            if name in obstacles:
                raise DesignError(f"layer {name} must be replaceable, but is {obstacles[name]}; leave it out.")
            if name not in candidates:
                raise unknown_name("layer", name, candidates)
        chosen = dict(design)
    else:
        kinds = _kinds(layers)
        chosen = {
            name: design
            for name, module in model.named_modules()
            if name in candidates and isinstance(module, kinds) and (filter is None or filter(name, module))
        }
    if not chosen:
        raise DesignError(
            f"the model must have a layer to replace, but layers={layers!r} and the filter leave none of its "
            f"{len(set(candidates.values()))} Conv2d and Linear layers; choose other layers."
        )
    products = {name: _products(name, entry, mode, backward) for name, entry in chosen.items()}
    result = _copy(model)
    places = dict(result.named_modules(remove_duplicate=False))
    for name, layer_design in chosen.items():
        layer = places[name]
        if isinstance(layer, (ApproximateConv2d, ApproximateLinear)):
            # A module that stands in two places, named twice.
            if layer.design != layer_design:
                raise DesignError(
                    f"a layer must have one design, but {name} is the same module as another named one and got "
                    f"{layer_design.label} after {layer.design.label}; name it once."
                )
            continue
        # The class is exchanged in place, so that parameters, hooks and shared places stay what they are.
        layer.__class__ = ApproximateConv2d if isinstance(layer, nn.Conv2d) else ApproximateLinear
        assert isinstance(layer, (ApproximateConv2d, ApproximateLinear))
        layer.design, layer.mode, layer.backward = layer_design, mode, backward
        layer.products, layer.gradients = products[name]
        layer.recording = Recording() if record else None
    return result


def recomputed(model: nn.Module, *, mode: str | None = None, backward: str | None = None) -> nn.Module:
    """A copy of a network with approximate layers, these in another `mode` or with other gradients; None keeps theirs.

    Raises as `approximate` does.
    """
    _check_choice("mode", mode or MODES[0], MODES)
    _check_choice("backward mode", backward or BACKWARD[0], BACKWARD)
    result = _copy(model)
    for name, layer in result.named_modules():
        if isinstance(layer, (ApproximateConv2d, ApproximateLinear)):
            chosen = mode or layer.mode, backward or layer.backward
            layer.products, layer.gradients = _products(name, layer.design, *chosen)
            layer.mode, layer.backward = chosen
    return result


def unreplaced(model: nn.Module, layers: str = "all", *, images: torch.Tensor | None = None) -> dict[str, str]:
    """Layer name -> why `approximate(model, ..., layers=layers)` must leave its products exact.

    Lists layers that are no plain Conv2d or Linear but multiply by a weight of two or more dimensions: other
    convolutions, subclasses, recurrent and attention layers, modules with parameters of their own.

    With `images`, as the network takes them, the first one is run through, and two more kinds are listed: modules whose
    own forward calls functions that sum products (matmul, einsum, functional.linear, attention, ...; the network
    itself is listed as "forward"), and layers that could be replaced but are not called. What is multiplied elementwise
    or outside torch is not seen.
    """
    if layers not in LAYERS:
        raise unknown_name("choice of layers", layers, LAYERS)
    candidates, obstacles = _survey(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    other = {"conv": (nn.Linear,), "linear": (nn.modules.conv._ConvNd,), "all": ()}[layers]
    listed = {name: reason for name, reason in obstacles.items() if not isinstance(modules[name], other)}
    if images is not None:
        accounted = {module for name, module in modules.items() if name in candidates or name in obstacles}
        listed |= _observed(model, images, layers, accounted)
    return listed


def _observed(model: nn.Module, images: torch.Tensor, layers: str, accounted: Collection[nn.Module]) -> dict[str, str]:
    """What only a run shows: functional products outside the modules `accounted` for, and layers that never run."""
    seen = observe(model, images)
    listed: dict[str, str] = {}
    other = {"conv": "linear", "linear": "conv", "all": None}[layers]
    for name, module in model.named_modules():
        functions = [each for each in seen.functions.get(name, ()) if other is None or f".{other}" not in each]
        if functions and module not in accounted:
            listed[name or "forward"] = f"{type(module).__name__} calls {', '.join(functions)} itself"
        if type(module) in _kinds(layers) and module in accounted and name not in seen.called:
            listed[name] = f"{type(module).__name__} that the forward does not call"
    return listed


def approximate_layer(model: nn.Module, name: str) -> ApproximateConv2d | ApproximateLinear:
    """The approximate layer of that name; UnknownNameError otherwise."""
    found = {
        key: module
        for key, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, (ApproximateConv2d, ApproximateLinear))
    }
    if name not in found:
        raise unknown_name("approximate layer", name, found)
    return found[name]


class _ApproximateLayer(nn.Module):
    """What `approximate` sets: the design, mode and backward mode, the products that follow, the record."""

    design: Design
    mode: str
    backward: str
    products: Products
    gradients: Products
    recording: Recording | None
    weight: torch.Tensor
    bias: Any  # of the two layers: nn.Parameter or None

    def _apply_products(self, x: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
        # torch.compile cannot look into the kernels: under it the products are a break in the graph. Importing
        # torch._dynamo takes longer than most networks run; where nobody has, nothing is being compiled.
        if "torch._dynamo" in sys.modules:
            return _outside_graphs(self, x, geometry)
        return self._compute(x, geometry)

    def _compute(self, x: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
        weight: torch.Tensor | None
        bias: torch.Tensor | None
        try:
            # Past nn.Module.__getattr__, which takes as long as a tiny layer.
            weight, bias = self._parameters["weight"], self._parameters["bias"]
        except KeyError:  # pruning or a parametrisation has put others in their place
            weight, bias = self.weight, self.bias
        assert weight is not None
        _check(x, weight, bias)
        if self.recording is not None:
            self.recording.add(x, weight)
        return apply(x, weight, bias, self.products, self.gradients, geometry)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, design={self.design.label}, mode={self.mode}, backward={self.backward}"


def _compute(layer: _ApproximateLayer, x: torch.Tensor, geometry: Geometry | None) -> torch.Tensor:
    return layer._compute(x, geometry)


_outside_graphs = _disable_dynamo(_compute)
"""`_compute` with torch.compile switched off; like torch.compiler.disable, but imports torch._dynamo when called."""


class ApproximateConv2d(_ApproximateLayer, nn.Conv2d):
    """A Conv2d whose products go through `design`; made by `approximate`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] or [C, H, W] -> [B, N, OH, OW] or [N, OH, OW], float32."""
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            raise DesignError(
                f"activations must be [B, {self.in_channels}, H, W] or [{self.in_channels}, H, W], but are "
                f"{list(x.shape)}; reshape them."
            )
        top, bottom, left, right = _sides(self)
        if self.padding_mode != "zeros" and any(_sides(self)):
            x = functional.pad(x, (left, right, top, bottom), mode=self.padding_mode)
        geometry = self.geometry
        image = (x.shape[-2], x.shape[-1])
        if min(geometry.output(image, _pair(self.kernel_size))) < 1:
            raise DesignError(
                f"images must cover the kernel, {self.kernel_size} with dilation {self.dilation} and padding "
                f"{self.padding}, but are {image}; give larger ones."
            )
        out = self._apply_products(x if x.dim() == 4 else x[None], geometry)
        return out if x.dim() == 4 else out[0]

    @property
    def geometry(self) -> Geometry:
        """What the products see: images are padded before where the padding is not of zeros."""
        return Geometry(
            stride=_pair(self.stride),
            padding=_sides(self) if self.padding_mode == "zeros" else (0, 0, 0, 0),
            dilation=_pair(self.dilation),
            groups=self.groups,
        )


class ApproximateLinear(_ApproximateLayer, nn.Linear):
    """A Linear layer whose products go through `design`; made by `approximate`."""

    geometry = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., K] -> [..., N], float32."""
        shape = x.shape
        if not shape or shape[-1] != self.in_features:
            raise DesignError(f"activations must be [..., {self.in_features}], but are {list(x.shape)}; reshape them.")
        if len(shape) == 2:
            return self._apply_products(x, None)
        out = self._apply_products(x.reshape(-1, self.in_features), None)
        return out.reshape(*shape[:-1], self.out_features)


def _check_choice(what: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise unknown_name(what, value, valid)


def _copy(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:
        raise DesignError(
            f"the model must be copyable, but is not ({str(error).split('.')[0]}); make pruning or weight "
            "normalisation permanent first."
        ) from None


def _kinds(layers: str) -> tuple[type[nn.Module], ...]:
    kinds: dict[str, tuple[type[nn.Module], ...]] = {
        "conv": (nn.Conv2d,),
        "linear": (nn.Linear,),
        "all": (nn.Conv2d, nn.Linear),
    }
    return kinds[layers]


def _products(name: str, design: Design, mode: str, backward: str) -> tuple[Products, Products]:
    """What computes the output, and what the gradients."""
    if design.float_format is None:
        raise DesignError(f"layer {name} needs a design with a float format, but got format=None; give one.")
    try:
        forward: Products = LoweredProducts(design) if mode == "lowered" else GateProducts(design)
        if backward == "slope":
            return forward, SlopeProducts(design)
        return forward, forward if backward == "approximate" else ExactProducts()
    except DesignError as error:
        what = "compute 'lowered'" if mode == "lowered" else "backward 'slope'"
        raise type(error)(f"layer {name}, {what}: {error}") from None


_NO_PRODUCTS: tuple[type[nn.Module], ...] = (
    nn.Embedding,
    nn.EmbeddingBag,
    nn.LayerNorm,
    nn.RMSNorm,
)
"""Modules whose weights of two or more dimensions are looked up or scale elementwise."""


def _survey(model: nn.Module) -> tuple[dict[str, nn.Conv2d | nn.Linear], dict[str, str]]:
    """Replaceable layers by name (one module may have several), and the obstacles of others that multiply."""
    candidates: dict[str, nn.Conv2d | nn.Linear] = {}
    obstacles: dict[str, str] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for name, module in modules.items():
        kind = type(module).__name__
        parent = modules.get(name.rpartition(".")[0])
        own = [parameter for parameter in module.parameters(recurse=False) if _dimensions(parameter) >= 2]
        if isinstance(module, (ApproximateConv2d, ApproximateLinear)):
            obstacles[name] = f"{kind}: approximate already"
        elif type(module) in (nn.Conv2d, nn.Linear):
            assert isinstance(module, (nn.Conv2d, nn.Linear))
            if "weight" not in dict(module.named_parameters(recurse=False)):
                obstacles[name] = f"{kind} with a computed weight (pruning or weight normalisation); make it permanent"
            elif isinstance(parent, nn.TransformerEncoderLayer):
                obstacles[name] = f"{kind} whose TransformerEncoderLayer may multiply by its weights without calling it"
            else:
                candidates[name] = module
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            obstacles[name] = f"{kind}, a subclass of {'Conv2d' if isinstance(module, nn.Conv2d) else 'Linear'}"
        elif own and not isinstance(module, _NO_PRODUCTS):
            obstacles[name] = kind
    return candidates, obstacles


def _dimensions(parameter: nn.Parameter) -> int:
    # A lazy module's parameters have no shape yet.
    return 2 if isinstance(parameter, nn.UninitializedParameter) else parameter.dim()


def _check(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
    for name, tensor in (("activations", x), ("weights", weight), ("biases", bias)):
        if tensor is not None and (tensor.dtype is not torch.float32 or not tensor.is_cpu):
            raise DesignError(
                f"{name} must be float32 on the CPU, but are {tensor.dtype} on {tensor.device}; convert them."
            )
    if torch.is_autocast_enabled("cpu"):
        raise DesignError("autocast must be off, but is on for the CPU; approximate layers compute in float32.")


def _pair(value: Any) -> Pair:
    first, second = value
    return int(first), int(second)


def _sides(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Padding at the top, bottom, left, right."""
    if layer.padding == "valid":
        return 0, 0, 0, 0
    if layer.padding == "same":
        sides = []
        for dilation, size in zip(_pair(layer.dilation), _pair(layer.kernel_size), strict=True):
            total = dilation * (size - 1)
            sides += [total // 2, total - total // 2]
        return sides[0], sides[1], sides[2], sides[3]
    vertical, horizontal = _pair(layer.padding)
    return vertical, vertical, horizontal, horizontal
