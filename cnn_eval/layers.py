"""`approximate`: a torch network whose convolution and linear layers multiply through a design, gate-exact."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from circuits import Design, DesignError
from circuits.engine.floating import matmul
from circuits.errors import unknown_name
from cnn_eval.convolution import convolve

LAYERS = ("conv", "linear", "all")
BACKWARD = ("ste",)

LayerFilter = Callable[[str, nn.Module], bool]


def approximate(
    model: nn.Module,
    design: Design | Mapping[str, Design],
    *,
    layers: str = "conv",
    filter: LayerFilter | None = None,
    backward: str = "ste",
) -> nn.Module:
    """A copy of `model` whose Conv2d and/or Linear layers multiply through `design`; the original is left alone.

    `design`: one for all, or layer name -> design for those named and no others. `layers`: "conv", "linear" or "all".
    `filter(name, module)` keeps a layer exact by returning False. `backward="ste"`: gradients of the exact products
    (straight-through estimator). Products are float32 on the CPU, accumulated in float32 in ascending k; the bias is
    added after. Threads: torch.get_num_threads(). The state_dict keeps the original's keys.

    Raises DesignError for unknown names, for integer designs and where no layer is replaced.
    """
    if layers not in LAYERS:
        raise unknown_name("choice of layers", layers, LAYERS)
    if backward not in BACKWARD:
        raise unknown_name("backward mode", backward, BACKWARD)
    kinds: tuple[type, ...] = {"conv": (nn.Conv2d,), "linear": (nn.Linear,), "all": (nn.Conv2d, nn.Linear)}[layers]
    replaceable = {name for name, module in model.named_modules() if type(module) in (nn.Conv2d, nn.Linear)}
    if isinstance(design, Mapping):
        for name in design.keys() - replaceable:
            raise unknown_name("layer", name, replaceable)
        chosen = dict(design)
    else:
        chosen = {
            name: design
            for name, module in model.named_modules()
            if name in replaceable and type(module) in kinds and (filter is None or filter(name, module))
        }
    if not chosen:
        raise DesignError(
            f"the model must have a layer to replace, but layers={layers!r} and the filter leave none of its "
            f"{len(replaceable)} Conv2d and Linear layers; choose other layers."
        )
    result = copy.deepcopy(model)
    for name, layer_design in chosen.items():
        if layer_design.float_format is None:
            raise DesignError(f"layer {name} needs a design with a float format, but got format=None; give one.")
        parent_name, _, attribute = name.rpartition(".")
        parent = result.get_submodule(parent_name)
        layer = result.get_submodule(name)
        made = (
            ApproximateConv2d(layer, layer_design)
            if isinstance(layer, nn.Conv2d)
            else ApproximateLinear(layer, layer_design)  # type: ignore[arg-type]  # nn.Linear by `replaceable`
        )
        made.train(layer.training)
        if name:
            setattr(parent, attribute, made)
        else:
            result = made
    return result


class ApproximateConv2d(nn.Module):
    """A Conv2d whose products go through `design`; shares the weight and bias parameters of the layer it is made of."""

    def __init__(self, layer: nn.Conv2d, design: Design) -> None:
        super().__init__()
        self.design = design
        self.weight = layer.weight
        self.bias = layer.bias
        self.stride = _pair(layer.stride)
        self.dilation = _pair(layer.dilation)
        self.groups = layer.groups
        self.padding_mode = layer.padding_mode
        self.padding = _sides(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] or [C, H, W] -> [B, N, OH, OW] or [N, OH, OW], float32."""
        _check(x, self.weight)
        top, bottom, left, right = self.padding
        padding = self.padding
        if self.padding_mode != "zeros" and any(padding):
            x = functional.pad(x, (left, right, top, bottom), mode=self.padding_mode)
            padding = (0, 0, 0, 0)
        images = x if x.dim() == 4 else x[None]
        products: torch.Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
            images, self.weight, self.design, self.stride, padding, self.dilation, self.groups
        )
        if self.bias is not None:
            products = products + self.bias[:, None, None]
        return products if x.dim() == 4 else products[0]

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, design={self.design.label}"


class ApproximateLinear(nn.Module):
    """A Linear layer whose products go through `design`; shares the parameters of the layer it is made of."""

    def __init__(self, layer: nn.Linear, design: Design) -> None:
        super().__init__()
        self.design = design
        self.weight = layer.weight
        self.bias = layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., K] -> [..., N], float32."""
        _check(x, self.weight)
        products: torch.Tensor = _Linear.apply(  # type: ignore[no-untyped-call]
            x.reshape(-1, x.shape[-1]), self.weight, self.design
        )
        products = products.reshape(*x.shape[:-1], -1)
        return products if self.bias is None else products + self.bias

    def extra_repr(self) -> str:
        return f"{tuple(self.weight.shape)}, design={self.design.label}"


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        design: Design,
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        dilation: tuple[int, int],
        groups: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation, groups)
        out = convolve(
            design,
            x.detach().numpy(),
            weight.detach().numpy(),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            threads=torch.get_num_threads(),
        )
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of the exact convolution, by torch."""
        x, weight = ctx.saved_tensors
        stride, (top, bottom, left, right), dilation, groups = ctx.geometry
        padded = functional.pad(x, (left, right, top, bottom))
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        x_gradient, weight_gradient, _ = torch.ops.aten.convolution_backward(
            gradients[0], padded, weight, None, stride, (0, 0), dilation, False, (0, 0), groups, wanted
        )
        if x_gradient is not None:
            height, width = padded.shape[-2:]
            x_gradient = x_gradient[..., top : height - bottom, left : width - right]
        return x_gradient, weight_gradient, None, None, None, None, None


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, design: Design) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        out = matmul(design, x.detach().numpy(), weight.detach().numpy().T, threads=torch.get_num_threads())
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradient of the exact product."""
        x, weight = ctx.saved_tensors
        x_gradient = gradients[0] @ weight if ctx.needs_input_grad[0] else None
        weight_gradient = gradients[0].T @ x if ctx.needs_input_grad[1] else None
        return x_gradient, weight_gradient, None


def _check(x: torch.Tensor, weight: torch.Tensor) -> None:
    for name, tensor in (("activations", x), ("weights", weight)):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise DesignError(
                f"{name} must be float32 on the CPU, but are {tensor.dtype} on {tensor.device}; convert them."
            )
    if torch.is_autocast_enabled("cpu"):
        raise DesignError("autocast must be off, but is on for the CPU; approximate layers compute in float32.")


def _pair(value: Any) -> tuple[int, int]:
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
